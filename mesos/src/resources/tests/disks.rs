//! Disks: which are the same, which add up, which are whole things.

use super::*;

#[test]
fn a_volume_says_how_a_disk_is_used_not_which_it_is() {
    let path = || Some(disk_source(source::Type::Path, "mnt"));
    let without = disk("disk:10", None, None, path());
    let with = disk("disk:10", None, Some("path1"), path());
    assert_eq!(bag(&[&without]), bag(&[&with]));
    assert_eq!(bag(&[&without, &with]).len(), 1);
}

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
        }
    }
}

#[test]
fn whole_disks_neither_add_up_nor_split() {
    for kind in [source::Type::Raw, source::Type::Path, source::Type::Block, source::Type::Mount] {
        for id in [None, Some("id".to_owned())] {
            let source = || disk_info::Source { id: id.clone(), ..disk_source(kind, "") };
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

#[test]
fn two_equal_whole_disks_are_more_than_one() {
    let mount = bag(&[&disk("disk:1", None, None, Some(disk_source(source::Type::Mount, "mnt")))]);
    let both = &mount + &mount;
    assert!(both.contains(&both) && both.contains(&mount));
    assert!(!mount.contains(&both));
    assert_ne!(mount, both);
    assert_eq!(&both - &mount, mount);
}

#[test]
fn persistent_volumes_are_whole_things() {
    let one = bag(&[&disk("disk(role):10", Some("1"), Some("path"), None)]);
    let two = bag(&[&disk("disk(role):10", Some("2"), Some("path"), None)]);
    let larger = bag(&[&disk("disk(role):20", Some("1"), Some("path"), None)]);
    let both = &one + &two;
    assert!(both.contains(&one) && both.contains(&two) && !both.contains(&larger) && !larger.contains(&one));
    assert_eq!(&both - &two, one);
    assert_eq!(&one - &two, one);
    let all = &both + &resources("cpus:1;disk:1000");
    assert_eq!(all.persistent_volumes(), both);
}

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
