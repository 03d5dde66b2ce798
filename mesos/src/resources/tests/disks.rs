//! Disks: which are the same, which add up, which are whole things.

use super::*;

/// Upstream: `DiskResourcesTest.Equals`, `DiskSourceEquals`, `Addition`.
#[test]
fn a_volume_says_how_a_disk_is_used_not_which_it_is() {
    let path = || Some(disk_source(source::Type::Path, "mnt"));
    let without = disk("disk:10", None, None, path());
    let with = disk("disk:10", None, Some("path1"), path());
    assert_eq!(bag(&[&without]), bag(&[&with]));
    assert_eq!(bag(&[&without, &with]).len(), 1);
}

/// Upstream: `DiskResourcesTest.Equals`, `DiskSourceEquals`, `Addition`, `DiskSourceAddition`, `DiskSourceSubtraction`.
#[test]
fn sources_and_persistence_ids_tell_disks_apart() {
    let unique = [
        proto("disk(role):10"),
        disk("disk(role):10", None, None, None),
        disk("disk(role):10", Some("1"), None, None),
        disk("disk(role):10", Some("2"), None, None),
        disk("disk(role):10", None, None, Some(disk_source(source::Type::Path, "mnt"))),
        disk("disk(role):10", None, None, Some(disk_source(source::Type::Path, "mnt2"))),
        disk("disk(role):10", None, None, Some(disk_source(source::Type::Mount, "mnt"))),
        disk("disk(role):10", Some("1"), None, Some(disk_source(source::Type::Mount, "mnt"))),
    ];
    for (i, left) in unique.iter().enumerate() {
        for (j, right) in unique.iter().enumerate() {
            assert_eq!(bag(&[left]) == bag(&[right]), i == j, "{i} {j}");
            let rest = bag(&[left]) - bag(&[right]);
            assert_eq!(rest, if i == j { Resources::new() } else { bag(&[left]) }, "{i} {j}");
        }
    }
}

/// Upstream: `DiskResourcesSourceTest.SourceIdentity`; `DiskResourcesTest.DiskSourceAddition`, `DiskSourceSubtraction`,
/// `SourceContains`.
#[test]
fn whole_disks_neither_add_up_nor_split() {
    let some = |text: &str| Some(text.to_owned());
    let about =
        [(None, None), (some("vendor"), None), (None, some("profile")), (some("vendor"), some("profile"))];
    for kind in [source::Type::Raw, source::Type::Path, source::Type::Block, source::Type::Mount] {
        for (id, (vendor, profile)) in
            [None, some("id")].iter().flat_map(|id| about.iter().map(move |two| (id, two)))
        {
            let (id, vendor, profile) = (id.clone(), vendor.clone(), profile.clone());
            let source = || disk_info::Source {
                id: id.clone(),
                vendor: vendor.clone(),
                profile: profile.clone(),
                ..disk_source(kind, "")
            };
            let divisible = match kind {
                source::Type::Raw => id.is_none(),
                other => other == source::Type::Path,
            };
            let small = bag(&[&disk("disk:1", None, None, Some(source()))]);
            let large = bag(&[&disk("disk:2", None, None, Some(source()))]);
            assert!(small.contains(&small) && (&small - &small).is_empty());
            assert_eq!(large.contains(&small), divisible);
            assert_eq!((&small + &small) == large, divisible);
            assert_eq!((&small + &small).len(), if divisible { 1 } else { 2 });
            assert_eq!((&large - &small) == large, !divisible);
        }
    }
}

/// Upstream: `DiskResourcesTest.SourceContains`.
#[test]
fn two_equal_whole_disks_are_more_than_one() {
    let mount = bag(&[&disk("disk:1", None, None, Some(disk_source(source::Type::Mount, "mnt")))]);
    let both = &mount + &mount;
    assert!(both.contains(&both) && both.contains(&mount));
    assert!(!mount.contains(&both));
    assert_ne!(mount, both);
    assert_eq!(&both - &mount, mount);
}

/// Upstream: `DiskResourcesTest.Addition`, `Subtraction`, `Contains`, `SourceContains`, `FilterPersistentVolumes`.
#[test]
fn persistent_volumes_are_whole_things() {
    let (path, mount) = (disk_source(source::Type::Path, "mnt"), disk_source(source::Type::Mount, "mnt"));
    for source in [None, Some(path), Some(mount)] {
        let volume = |text: &str, id: &str| bag(&[&disk(text, Some(id), Some("path"), source.clone())]);
        let (one, two) = (volume("disk(role):10", "1"), volume("disk(role):10", "2"));
        let larger = volume("disk(role):20", "1");
        let both = &one + &two;
        assert!(both.contains(&one) && both.contains(&two) && both.contains(&both));
        assert!(!both.contains(&larger) && !larger.contains(&one) && !one.contains(&(&one + &one)));
        assert_eq!(&both - &two, one);
        assert_eq!(&one - &two, one);
        assert!((&one - &one).is_empty());
        let all = &both + &resources("cpus:1;disk:1000");
        assert_eq!(all.persistent_volumes(), both);
    }
}

/// Upstream: `DiskResourcesTest.Validation`.
#[test]
fn disk_info_must_fit_the_resource() {
    let message = |proto: &v1::Resource| validate(proto).unwrap_err().to_string();
    assert_eq!(message(&disk("cpus:1", None, None, None)), "DiskInfo should not be set for cpus resource");
    let raw = || disk_source(source::Type::Raw, "");
    let mounted = disk_info::Source { mount: Some(Default::default()), ..raw() };
    assert_eq!(
        message(&disk("disk:1", None, None, Some(mounted))),
        "Mount should not be set for RAW disk source"
    );
    let block = disk_source(source::Type::Block, "");
    let with_path = disk_info::Source { path: Some(Default::default()), ..block };
    assert_eq!(
        message(&disk("disk:1", None, None, Some(with_path))),
        "Path should not be set for BLOCK disk source"
    );
    let unknown = disk_source(source::Type::Unknown, "");
    assert_eq!(
        message(&disk("disk:1", None, None, Some(unknown))),
        "Unsupported 'DiskInfo.Source.Type' in 'UNKNOWN'"
    );
    assert_eq!(message(&shared(proto("cpus:1"))), "Resource cpus cannot be shared");
    assert_eq!(message(&shared(proto("disk:1"))), "Only persistent volumes can be shared");
}
