//! The registry, and both forms of its snapshot.

use std::time::Duration;

use super::*;

const WINDOW: Option<Duration> = Some(Duration::from_secs(3600));

fn json(snapshot: &Snapshot) -> String {
    String::from_utf8(snapshot.to_json()).unwrap()
}

#[test]
fn a_timer_shows_statistics_from_its_second_value_on() {
    let metrics = Metrics::new();
    let timer = metrics.timer("allocation_run_ms", WINDOW);
    assert!(metrics.snapshot().values().is_empty());
    timer.record(Duration::from_millis(2));
    assert_eq!(json(&metrics.snapshot()), r#"{"allocation_run_ms":2.0}"#);
    timer.record(Duration::from_millis(4));
    let snapshot = metrics.snapshot();
    let names: Vec<String> = snapshot.values().into_iter().map(|(name, _)| name.into_owned()).collect();
    assert_eq!(
        names,
        ["", "/count", "/max", "/min", "/p50", "/p90", "/p95", "/p99", "/p999", "/p9999"]
            .map(|end| format!("allocation_run_ms{end}"))
    );
    assert_eq!(metrics.value("allocation_run_ms/p50"), Some(3.0));
    assert_eq!(metrics.value("allocation_run_ms"), Some(4.0));
}

#[test]
fn the_json_is_flat_sorted_and_has_decimal_points() {
    let metrics = Metrics::new();
    metrics.counter("master/b").add(2);
    metrics.gauge("master/a").set(0.5);
    metrics.gauge("master/a").add(1.0);
    metrics.pull_gauge("master/c", || 22_244_188_160.0);
    metrics.pull_gauge("master/d", || f64::NAN);
    assert_eq!(json(&metrics.snapshot()), r#"{"master/a":1.5,"master/b":2.0,"master/c":22244188160.0}"#);
}

#[test]
fn the_keys_of_a_series_are_sorted_in_among_other_names() {
    let metrics = Metrics::new();
    for value in [1.0, 2.0] {
        metrics.series("a", WINDOW).record(value);
    }
    // '-' sorts before '/', 'b' behind it.
    metrics.counter("a-b");
    metrics.counter("ab");
    let snapshot = metrics.snapshot();
    let names: Vec<String> = snapshot.values().into_iter().map(|(name, _)| name.into_owned()).collect();
    assert_eq!((&*names[0], &*names[1], &*names[2]), ("a", "a-b", "a/count"));
    assert_eq!(names.last().unwrap(), "ab");
}

#[test]
fn metrics_can_be_removed_one_by_one_and_by_prefix() {
    let metrics = Metrics::new();
    for name in ["frameworks/a/x", "frameworks/a/y", "frameworks/ab/x", "z"] {
        metrics.counter(name).increment();
    }
    assert_eq!(metrics.remove_prefix("frameworks/a/"), 2);
    assert!(metrics.remove("z"));
    assert!(!metrics.remove("z"));
    assert_eq!(json(&metrics.snapshot()), r#"{"frameworks/ab/x":1.0}"#);
}

#[test]
fn a_name_that_is_taken_is_refused() {
    let metrics = Metrics::new();
    assert_eq!(metrics.add("a", Pulled::new(|| 1.0)), Ok(()));
    let refused = metrics.add("a", Counter::default()).unwrap_err();
    assert_eq!(refused.to_string(), "Metric 'a' was already added");
    assert_eq!(metrics.value("a"), Some(1.0));
    assert!(metrics.remove("a"));
    assert_eq!(metrics.add("a", Counter::default()), Ok(()));
}

#[test]
fn the_same_name_is_the_same_counter() {
    let metrics = Metrics::new();
    metrics.counter("a").increment();
    metrics.counter("a").increment();
    assert_eq!(metrics.counter("a").value(), 2);
    // Another kind of the same name is not shown.
    metrics.gauge("a").set(7.0);
    assert_eq!(metrics.value("a"), Some(2.0));
}

#[test]
fn an_actor_that_does_not_answer_does_not_hold_up_the_rest() {
    crate::testing::run(async {
        let metrics = Metrics::new();
        metrics.counter("a");
        metrics.ask_gauge("b", futures::future::pending);
        metrics.ask_gauge("c", async || {
            tokio::time::sleep(Duration::from_millis(900)).await;
            Some(3.0)
        });
        metrics.ask_gauge("d", async || None);
        let began = tokio::time::Instant::now();
        let snapshot = metrics.collect(Duration::from_secs(1)).await;
        assert_eq!(json(&snapshot), r#"{"a":0.0,"c":3.0}"#);
        assert_eq!(began.elapsed(), Duration::from_secs(1));
        // Without waiting, what would have to be asked for is left out.
        assert_eq!(json(&metrics.snapshot()), r#"{"a":0.0}"#);
    });
}

#[test]
fn nothing_is_looked_up_before_somebody_waits_for_it() {
    crate::testing::run(async {
        let metrics = Metrics::new();
        let collected = metrics.collect(Duration::from_secs(1));
        metrics.counter("late");
        assert_eq!(json(&collected.await), r#"{"late":0.0}"#);
    });
}

/// One metric of each kind, described and not.
fn some_of_everything() -> Metrics {
    static TABLE: [Description; 4] = [
        Description::gauge("master/elected", "Whether it \"leads\": 1 or 0.\\"),
        Description::counter("master/frameworks/<framework%>/<id>/calls", "Calls."),
        Description::counter("master/frameworks/<framework%>/<id>/calls/<type>", "Calls of a type.")
            .family("master_frameworks_calls_by_type"),
        Description::series("allocation_run_ms", "Runs."),
    ];
    let metrics = Metrics::new();
    metrics.describe(&TABLE);
    metrics.gauge("master/elected").set(1.0);
    metrics.counter("master/frameworks/a%22b%0Ac%5C/1/calls").add(3);
    metrics.counter("master/frameworks/z/2/calls");
    metrics.counter("master/frameworks/z/2/calls/accept").add(2);
    let timer = metrics.timer("allocation_run_ms", WINDOW);
    timer.record(Duration::from_millis(1));
    timer.record(Duration::from_millis(3));
    metrics.gauge("not/des-cribed").set(0.25);
    metrics.gauge("not/finite").set(f64::INFINITY);
    metrics.counter("odd_total").add(1);
    metrics
}

#[test]
fn the_prometheus_form_has_types_help_and_labels() {
    let text = some_of_everything().snapshot().to_text(Exposition::Prometheus);
    assert_eq!(
        text,
        r#"# HELP allocation_run_ms Runs.
# TYPE allocation_run_ms summary
allocation_run_ms{quantile="0.0"} 1
allocation_run_ms{quantile="0.5"} 2
allocation_run_ms{quantile="0.9"} 2.8
allocation_run_ms{quantile="0.95"} 2.9
allocation_run_ms{quantile="0.99"} 2.98
allocation_run_ms{quantile="0.999"} 2.998
allocation_run_ms{quantile="0.9999"} 2.9998
allocation_run_ms{quantile="1.0"} 3
allocation_run_ms_sum 4
allocation_run_ms_count 2
# HELP master_elected Whether it "leads": 1 or 0.\\
# TYPE master_elected gauge
master_elected 1
# HELP master_frameworks_calls_total Calls.
# TYPE master_frameworks_calls_total counter
master_frameworks_calls_total{framework="a\"b\nc\\",id="1"} 3
master_frameworks_calls_total{framework="z",id="2"} 0
# HELP master_frameworks_calls_by_type_total Calls of a type.
# TYPE master_frameworks_calls_by_type_total counter
master_frameworks_calls_by_type_total{framework="z",id="2",type="accept"} 2
# HELP not_des_cribed The metric 'not/des-cribed'.
# TYPE not_des_cribed gauge
not_des_cribed 0.25
# HELP odd_total The metric 'odd_total'.
# TYPE odd_total counter
odd_total 1
"#
    );
}

#[test]
fn the_openmetrics_form_names_counters_without_their_suffix_and_has_an_end() {
    let text = some_of_everything().snapshot().to_text(Exposition::OpenMetrics);
    for line in [
        "# TYPE master_frameworks_calls counter\n",
        "master_frameworks_calls_total{framework=\"z\",id=\"2\"} 0\n",
        "# TYPE odd counter\nodd_total 1\n",
        "# HELP master_elected Whether it \\\"leads\\\": 1 or 0.\\\\\n",
        "# TYPE allocation_run_ms summary\n",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("\n# EOF\n"));
}

#[test]
fn what_nobody_described_is_found() {
    let metrics = some_of_everything();
    assert_eq!(metrics.snapshot().undescribed(), ["not/des-cribed", "not/finite", "odd_total"]);
    metrics.remove_prefix("not/");
    metrics.remove("odd_total");
    assert!(metrics.snapshot().undescribed().is_empty());
    metrics.counter("allocation_run_ms/x");
    metrics.remove("master/elected");
    metrics.counter("master/elected");
    assert_eq!(metrics.snapshot().undescribed(), ["allocation_run_ms/x", "master/elected"]);
}

#[test]
fn a_metric_of_another_kind_than_its_family_is_not_shown_there() {
    static TABLE: [Description; 1] = [Description::counter("a/<x>", "A.")];
    let metrics = Metrics::new();
    metrics.describe(&TABLE);
    metrics.counter("a/1");
    metrics.gauge("a/2");
    let text = metrics.snapshot().to_text(Exposition::Prometheus);
    assert_eq!(text, "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"1\"} 0\n");
}
