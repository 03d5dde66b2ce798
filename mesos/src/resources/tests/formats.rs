//! The reservation formats and their validation.

use super::*;

fn refusal(resource: &v1::Resource) -> String {
    validate(resource).unwrap_err().to_string()
}

#[test]
fn each_resource_of_a_list_keeps_the_role_that_it_is_allocated_to() {
    let list = [("a", Some("r")), ("b", Some("r")), ("c", None), ("d", Some("s")), ("cpus", Some("r"))];
    let allocated = |(name, role): (&str, Option<&str>)| {
        let allocation_info = role.map(|role| v1::resource::AllocationInfo { role: Some(role.to_owned()) });
        v1::Resource { allocation_info, ..proto(&format!("{name}:1")) }
    };
    let protos = list.map(allocated);
    for bag in [Resources::try_from_protos(&protos).unwrap(), Resources::from_valid_protos(&protos)] {
        let read: Vec<_> = bag.iter().map(|each| (each.name(), each.allocation_role())).collect();
        assert_eq!(read, list);
    }
}

/// Upstream: `ResourceFormatTest.PreReservationRefinement`.
#[test]
fn the_old_format_says_role_and_dynamic_reservation() {
    let mut old = v1::Resource { role: Some("*".into()), ..proto("cpus:555.5") };
    assert_eq!(validate(&old), Ok(()));
    assert_eq!(bag(&[&old]), resources("cpus:555.5"));
    old.role = Some("foo".into());
    assert_eq!(bag(&[&old]), resources("cpus(foo):555.5"));
    old.reservation = Some(Box::new(ReservationInfo { principal: Some("p".into()), ..Default::default() }));
    assert_eq!(bag(&[&old]), bag(&[&reserved("cpus:555.5", dynamic("foo", "p"))]));
    old.role = None;
    assert_eq!(refusal(&old), "Invalid reservation: role \"*\" cannot be dynamically reserved");
    old.role = Some("foo".into());
    old.reservation.as_mut().unwrap().role = Some("foo".into());
    assert!(refusal(&old).starts_with("'Resource.ReservationInfo.role' must not be set"));
}

/// Upstream: `ResourceFormatTest.PostReservationRefinement`.
#[test]
fn refinements_are_dynamic_and_go_down_the_tree() {
    let stack = |reservations: Vec<ReservationInfo>| v1::Resource { reservations, ..proto("cpus:1") };
    let fixed = |role: &str| {
        let mut reservation = dynamic(role, "p");
        reservation.set_type(reservation_info::Type::Static);
        reservation
    };
    assert_eq!(validate(&stack(vec![fixed("foo"), dynamic("foo/bar", "p")])), Ok(()));
    assert_eq!(validate(&stack(vec![dynamic("foo", "p"), dynamic("foo/bar", "q")])), Ok(()));
    assert_eq!(
        refusal(&stack(vec![fixed("foo"), fixed("foo/bar")])),
        "Invalid refined reservation: A refined reservation cannot be STATIC"
    );
    assert_eq!(
        refusal(&stack(vec![dynamic("foo", "p"), dynamic("foobar", "p")])),
        "Invalid refined reservation: role 'foobar' is not a refinement of 'foo'"
    );
    assert_eq!(
        refusal(&stack(vec![dynamic("*", "p")])),
        "Invalid reservation: role \"*\" cannot be reserved"
    );
    let typeless = ReservationInfo { r#type: None, ..dynamic("foo", "p") };
    assert!(refusal(&stack(vec![typeless])).ends_with("'Resource.ReservationInfo.type' field must be set."));
}

/// Upstream: `ResourceFormatTest.Endpoint`.
#[test]
fn both_formats_together_must_agree() {
    let both = || {
        let mut both = reserved("cpus:1", dynamic("r1", "p1"));
        to_endpoint(&mut both);
        both
    };
    assert_eq!(validate(&both()), Ok(()));
    let mut other_role = both();
    other_role.reservations[0].role = Some("r2".into());
    assert!(refusal(&other_role).contains("'r1' does not match the role 'r2'"));
    let mut other_type = both();
    other_type.reservations[0].set_type(reservation_info::Type::Static);
    assert!(refusal(&other_type).ends_with("is STATIC"));
    let mut other_principal = both();
    other_principal.reservation.as_mut().unwrap().principal = Some("p2".into());
    assert!(refusal(&other_principal).contains("'p2' does not match the principal 'p1'"));
    let mut other_labels = both();
    other_labels.reservation.as_mut().unwrap().labels = Some(labels(&[("k", "v")]));
    assert!(refusal(&other_labels).contains("labels' field with '{k: v}' does not match the labels '{}'"));
    let mut refined = both();
    refined.reservations.push(dynamic("r1/r2", "p1"));
    assert!(refusal(&refined).starts_with("Invalid resource format: 'Resource.role' must not be set"));
}

/// Upstream: `ResourceFormatTest.DowngradeWithResourcesWithoutRefinedReservations`.
#[test]
fn formats_convert_there_and_back() {
    for new in [proto("cpus:1"), proto("cpus(foo):1"), reserved("cpus:1", dynamic("foo", "p"))] {
        let mut old = new.clone();
        downgrade(&mut old).unwrap();
        assert!(old.reservations.is_empty() && old.role.is_some());
        assert_eq!(validate(&old), Ok(()));
        let mut endpoint = new.clone();
        to_endpoint(&mut endpoint);
        assert_eq!(endpoint.reservations, new.reservations);
        for mut converted in [old, endpoint] {
            upgrade(&mut converted);
            assert_eq!(converted, new);
        }
    }
}

/// Upstream: `ResourceFormatTest.DowngradeWithResourcesWithRefinedReservations`.
#[test]
fn a_refined_reservation_cannot_be_said_in_the_old_format() {
    let mut refined = reserved("cpus:1", dynamic("foo", "p"));
    refined.reservations.push(dynamic("foo/bar", "p"));
    let before = refined.clone();
    assert_eq!(downgrade(&mut refined), Err(DowngradeError));
    assert_eq!(refined, before);
    let old = |text: &str| {
        let mut old = proto(text);
        downgrade(&mut old).unwrap();
        old
    };
    let mut list = [proto("cpus:1"), proto("cpus(foo):1"), refined.clone()];
    assert_eq!(downgrade_all(&mut list), Err(DowngradeError));
    assert_eq!(list, [old("cpus:1"), old("cpus(foo):1"), before.clone()]);
    to_endpoint(&mut refined);
    assert_eq!(refined, before);
}

#[test]
fn values_must_fit_their_type() {
    let mut wrong = proto("cpus:1");
    wrong.r#type = 99;
    assert_eq!(refusal(&wrong), "Invalid resource type");
    wrong.set_type(v1::value::Type::Text);
    assert_eq!(refusal(&wrong), "Unsupported resource type");
    wrong.set_type(v1::value::Type::Ranges);
    assert_eq!(refusal(&wrong), "Invalid ranges resource");
    for value in [-1.0, 0.0004, f64::NAN, f64::INFINITY, 1e18] {
        let mut bad = proto("cpus:1");
        bad.scalar = Some(v1::value::Scalar { value });
        assert_eq!(refusal(&bad), "Invalid scalar resource: value <= 0", "{value}");
    }
    let range = |begin, end| v1::value::Range { begin, end };
    let mut overlapping = proto("ports:[1-2]");
    overlapping.ranges = Some(v1::value::Ranges { range: vec![range(1, 5), range(3, 7)] });
    assert_eq!(refusal(&overlapping), "Invalid ranges resource: overlapping ranges");
}
