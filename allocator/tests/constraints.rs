//! Offer constraints: what each predicate says of each kind of value, groups, roles, errors; and that
//! they keep offers away.

#![allow(clippy::unwrap_used, reason = "tests")]

use crate::common::*;
use allocator::core::constraints::{ConstraintsError, OfferConstraintsFilter, RegexLimits};
use mesos::v1;

/// From JSON, as schedulers send it.
fn compile(json: &str) -> Result<OfferConstraintsFilter, ConstraintsError> {
    let constraints = mesos::json::from_slice(json.as_bytes()).unwrap();
    OfferConstraintsFilter::new(&constraints, RegexLimits::default())
}

fn for_role(role: &str, groups: &[&[&str]]) -> String {
    let group = |group: &&[&str]| format!(r#"{{"attribute_constraints":[{}]}}"#, group.join(","));
    let groups: Vec<String> = groups.iter().map(group).collect();
    format!(r#""{role}":{{"groups":[{}]}}"#, groups.join(","))
}

/// Constraints of `roleA`: groups, each of constraints.
fn constraints_of(groups: &[&[&str]]) -> String {
    format!(r#"{{"role_constraints":{{{}}}}}"#, for_role("roleA", groups))
}

fn on(selector: &str, predicate: &str) -> String {
    format!(r#"{{"selector":{{{selector}}},"predicate":{{{predicate}}}}}"#)
}

/// A constraint on the attribute `name`.
fn on_attribute(name: &str, predicate: &str) -> String {
    on(&format!(r#""attribute_name":"{name}""#), predicate)
}

fn only(constraint: &str) -> OfferConstraintsFilter {
    compile(&constraints_of(&[&[constraint]])).unwrap()
}

fn with_attributes(text: &str) -> v1::AgentInfo {
    v1::AgentInfo { attributes: attributes(text), ..agent_info("S") }
}

fn attributes(text: &str) -> Vec<v1::Attribute> {
    mesos::Attributes::parse(text).unwrap().to_protos()
}

/// Checks which agents, told by their attributes, `roleA` is offered and which are kept from it.
fn check(filter: &OfferConstraintsFilter, offered: &[&str], excluded: &[&str]) {
    for (agents, expected) in [(offered, false), (excluded, true)] {
        for agent in agents {
            let info = with_attributes(agent);
            assert_eq!(filter.is_agent_excluded("roleA", &info), expected, "{agent}");
            assert_eq!(filter.why_excluded("roleA", &info).is_some(), expected, "{agent}");
        }
    }
}

/// Upstream: `NamedAttributeExists`.
#[test]
fn an_attribute_must_exist() {
    let filter = only(&on_attribute("bar", r#""exists":{}"#));
    check(&filter, &["bar:123", "bar:baz", "foo:123;bar:456"], &["foo:123", ""]);
}

/// Upstream: `NamedAttributeNotExists`.
#[test]
fn an_attribute_must_not_exist() {
    let filter = only(&on_attribute("bar", r#""not_exists":{}"#));
    check(&filter, &["foo:123", ""], &["bar:123", "foo:123;bar:456"]);
}

/// Upstream: `NamedAttributeTextEquals`.
#[test]
fn an_attribute_must_have_a_text_if_it_is_one() {
    let filter = only(&on_attribute("bar", r#""text_equals":{"value":"baz"}"#));
    check(&filter, &["bar:baz", "bar:123", "bar:[1-17]"], &["bar:zab", "foo:baz"]);
}

/// Upstream: `NamedAttributeTextNotEquals`.
#[test]
fn an_attribute_must_have_another_text_if_it_is_one() {
    let filter = only(&on_attribute("bar", r#""text_not_equals":{"value":"baz"}"#));
    check(&filter, &["bar:123", "bar:[1-17]", "bar:zab", "foo:baz"], &["bar:baz"]);
}

/// Upstream: `TwoAttributesWithTheSameName`.
#[test]
fn of_attributes_with_one_name_the_first_counts() {
    let filter = only(&on_attribute("bar", r#""text_equals":{"value":"baz"}"#));
    check(&filter, &["bar:baz;bar:foo", "bar:123;bar:foo"], &["bar:foo;bar:baz", "bar:foo;bar:123"]);
}

/// Upstream: `NamedAttributeTextMatches`.
#[test]
fn an_attribute_must_match_as_a_whole_if_it_is_text() {
    let filter = only(&on_attribute("bar", r#""text_matches":{"regex":"[a-d]+"}"#));
    check(&filter, &["bar:abcd", "bar:123", "bar:[1-17]"], &["bar:bcde", "foo:abcd"]);
}

/// Upstream: `NamedAttributeTextNotMatches`.
#[test]
fn an_attribute_must_not_match_as_a_whole_if_it_is_text() {
    let filter = only(&on_attribute("bar", r#""text_not_matches":{"regex":"[a-d]+"}"#));
    check(&filter, &["bar:123", "bar:[1-17]", "bar:bcde", "foo:abcd"], &["bar:abcd"]);
}

fn refusal(predicate: &str) -> String {
    compile(&constraints_of(&[&[&on_attribute("bar", predicate)]])).unwrap_err().to_string()
}

/// Upstream: `InvalidTextMatches`.
#[test]
fn a_pattern_that_is_none_is_refused() {
    assert_eq!(
        refusal(r#""text_matches":{"regex":"[a-d"}"#),
        "A role roleA has an invalid 'AttributeConstraint': Failed to construct regex from pattern '[a-d': \
         unclosed character class"
    );
}

/// Upstream: `InvalidTextNotMatches`.
#[test]
fn a_pattern_that_is_none_is_refused_where_it_must_not_match() {
    assert!(refusal(r#""text_not_matches":{"regex":"[a-d"}"#).contains("'[a-d'"));
}

/// Upstream: `RegexTooComplex`.
#[test]
fn a_pattern_is_bounded_in_size_and_memory() {
    let of_length = |count: usize| format!(r#""text_not_matches":{{"regex":"(a+){{{count}}}"}}"#);
    only(&on_attribute("bar", &of_length(10)));
    assert!(refusal(&of_length(50)).contains("too complex"));
    assert!(refusal(&of_length(500)).contains("pattern too large - compile failed"));
}

/// Upstream: `TwoConstraintsInGroup`.
#[test]
fn every_constraint_of_a_group_must_hold() {
    let (foo, bar) = (on_attribute("foo", r#""exists":{}"#), on_attribute("bar", r#""not_exists":{}"#));
    let filter = compile(&constraints_of(&[&[&foo, &bar]])).unwrap();
    check(&filter, &["foo:123", "baz:123;foo:456"], &["", "bar:456", "bar:123;foo:456"]);
}

/// Upstream: `TwoGroups`.
#[test]
fn one_group_must_hold() {
    let (foo, bar) = (on_attribute("foo", r#""exists":{}"#), on_attribute("bar", r#""not_exists":{}"#));
    let filter = compile(&constraints_of(&[&[&foo], &[&bar]])).unwrap();
    check(&filter, &["", "baz:123", "bar:123;foo:456"], &["bar:123"]);
    let exclusion = filter.why_excluded("roleA", &with_attributes("bar:123")).unwrap();
    assert_eq!(
        exclusion.to_string(),
        "attribute 'foo' must exist, and is missing; or attribute 'bar' must not exist, and is not a text"
    );
}

/// Upstream: `TwoRoles`.
#[test]
fn each_role_has_its_own_constraints() {
    let (foo, bar) = (on_attribute("foo", r#""exists":{}"#), on_attribute("bar", r#""exists":{}"#));
    let roles = [for_role("roleA", &[&[&foo]]), for_role("roleB", &[&[&bar]])].join(",");
    let filter = compile(&format!(r#"{{"role_constraints":{{{roles}}}}}"#)).unwrap();
    check(&filter, &["foo:123"], &["bar:123"]);
    assert!(filter.is_agent_excluded("roleB", &with_attributes("foo:123")));
    assert!(!filter.is_agent_excluded("roleB", &with_attributes("bar:123")));
    assert!(!filter.is_agent_excluded("roleC", &with_attributes("")));
}

/// Upstream: `DefaultOfferConstraints`.
#[test]
fn no_constraints_exclude_nothing() {
    let filter = compile("{}").unwrap();
    check(&filter, &["", "bar:123"], &[]);
    assert_eq!(filter, OfferConstraintsFilter::default());
}

#[test]
fn host_region_and_zone_are_compared_as_texts() {
    let pseudo =
        |kind: &str, predicate: &str| only(&on(&format!(r#""pseudoattribute_type":"{kind}""#), predicate));
    let placed: v1::AgentInfo = v1::AgentInfo {
        domain: Some(
            mesos::json::from_slice(br#"{"fault_domain":{"region":{"name":"eu"},"zone":{"name":"z1"}}}"#)
                .unwrap(),
        ),
        ..agent_info("S")
    };
    let anywhere = agent_info("S");
    for (kind, text) in [("HOSTNAME", "S.example"), ("REGION", "eu"), ("ZONE", "z1")] {
        let equals = pseudo(kind, &format!(r#""text_equals":{{"value":"{text}"}}"#));
        let not_equals = pseudo(kind, &format!(r#""text_not_equals":{{"value":"{text}"}}"#));
        assert!(!equals.is_agent_excluded("roleA", &placed), "{kind}");
        assert!(not_equals.is_agent_excluded("roleA", &placed), "{kind}");
        // A host name is always there.
        let missing = kind != "HOSTNAME";
        assert_eq!(equals.is_agent_excluded("roleA", &anywhere), missing, "{kind}");
        assert_eq!(not_equals.is_agent_excluded("roleA", &anywhere), !missing, "{kind}");
        assert_eq!(pseudo(kind, r#""exists":{}"#).is_agent_excluded("roleA", &anywhere), missing, "{kind}");
    }
    let matches = pseudo("REGION", r#""text_not_matches":{"regex":"e."}"#);
    assert_eq!(
        matches.why_excluded("roleA", &placed).unwrap().to_string(),
        "region must not match 'e.', and is 'eu'"
    );
}

#[test]
fn what_is_wrong_with_constraints_is_said() {
    for (json, said) in [
        (r#"{"role_constraints":{"r":{}}}"#.to_owned(), "empty 'RoleConstraints::groups' for role r"),
        (constraints_of(&[&[]]), "contains an empty RoleConstraints::Group"),
        (constraints_of(&[&[&on("", r#""exists":{}"#)]]), "Exactly one of"),
        (
            constraints_of(&[&[&on(
                r#""attribute_name":"a","pseudoattribute_type":"ZONE""#,
                r#""exists":{}"#,
            )]]),
            "Exactly one of",
        ),
        (
            constraints_of(&[&[&on(r#""pseudoattribute_type":"UNKNOWN""#, r#""exists":{}"#)]]),
            "known are HOSTNAME, REGION and ZONE",
        ),
        (constraints_of(&[&[&on_attribute("a", "")]]), "Unknown predicate type"),
        (constraints_of(&[&[&on_attribute("a", r#""exists":{},"not_exists":{}"#)]]), "exactly one of exists"),
    ] {
        let error = compile(&json).unwrap_err().to_string();
        assert!(error.contains(said), "{json}: {error}");
    }
}

fn options(constraint: &str) -> FrameworkOptions {
    FrameworkOptions { constraints: only(constraint), ..FrameworkOptions::default() }
}

/// Two agents, and a framework that wants only those of rack `a`.
fn cluster_with_racks() -> Cluster {
    let mut cluster = Cluster::new();
    for (name, rack) in [("S1", "rack:a"), ("S2", "rack:b")] {
        let info = v1::AgentInfo { attributes: attributes(rack), ..agent_info(name) };
        let (total, used) = (resources("cpus:4;mem:1024"), Default::default());
        cluster.core.add_agent(&agent_id(name), info, &agent_capabilities(), None, &total, &used).unwrap();
    }
    let options = options(&on_attribute("rack", r#""text_equals":{"value":"a"}"#));
    let info = framework_info(&["roleA", "roleB"]);
    cluster.core.add_framework(&framework_id("F"), &info, &Default::default(), true, &options).unwrap();
    cluster
}

#[test]
fn a_constrained_role_is_offered_only_the_agents_that_it_wants() {
    let mut cluster = cluster_with_racks();
    let info = framework_info(&["roleA"]);
    let unconstrained = FrameworkOptions::default();
    let wants_a = options(&on_attribute("rack", r#""text_equals":{"value":"a"}"#));
    cluster.core.update_framework(&framework_id("F"), &info, &wants_a).unwrap();
    assert_eq!(told(&cluster.run()), ["F/roleA@S1: cpus:4; mem:1024"]);
    assert!(cluster.tick().is_empty());
    // Constraints that are gone let the other agent through at once.
    cluster.core.update_framework(&framework_id("F"), &info, &unconstrained).unwrap();
    assert_eq!(told(&cluster.run()), ["F/roleA@S2: cpus:4; mem:1024"]);
}

#[test]
fn an_agent_whose_attributes_change_is_judged_anew() {
    let mut cluster = cluster_with_racks();
    let suppressed = FrameworkOptions {
        suppressed_roles: set(&["roleB"]),
        ..options(&on_attribute("rack", r#""text_equals":{"value":"a"}"#))
    };
    let info = framework_info(&["roleA", "roleB"]);
    cluster.core.update_framework(&framework_id("F"), &info, &suppressed).unwrap();
    assert_eq!(counts(&cluster.run())["F"], 1);
    let moved = v1::AgentInfo { attributes: attributes("rack:a"), ..agent_info("S2") };
    cluster.core.update_agent(&agent_id("S2"), moved, None, None).unwrap();
    assert_eq!(told(&cluster.run()), ["F/roleA@S2: cpus:4; mem:1024"]);
}

/// Upstream: `offerConstraintsDebug_` in `hierarchical.cpp`; the example of its help.
#[test]
fn the_report_lists_excluded_agents_and_suppressed_roles() {
    let mut cluster = cluster_with_racks();
    cluster.framework("G", &["roleB"]);
    cluster.core.suppress_offers(&framework_id("F"), &set(&["roleB"])).unwrap();
    let report = cluster.core.constraints_report();
    assert_eq!(report.size(), 3, "two frameworks, and an agent");
    let report: serde_json::Value = serde_json::from_slice(&mesos::json::to_vec(&report)).unwrap();
    assert_eq!(
        report,
        serde_json::json!({"frameworks": {
            "F": {
                "suppressed_roles": ["roleB"],
                "excluded_by_attribute_constraints": {"roleA": ["S2"], "roleB": []},
            },
            "G": {"suppressed_roles": [], "excluded_by_attribute_constraints": {"roleB": []}},
        }})
    );
}
