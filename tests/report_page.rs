//! The report as its readers meet it: the document, the terminal's tables, the page in a browser.

#[path = "report_page/browser.rs"]
mod browser;
#[path = "report_page/edges.rs"]
mod edges;
#[path = "report_page/fixture.rs"]
mod fixture;
#[path = "report_page/markup.rs"]
mod markup;

use plimsoll::domain::Run;
use plimsoll::domain::forecast::{Change, EventEffect, Mark, MarkKind};
use plimsoll::domain::plan::NodeState;
use plimsoll::domain::run::ForecastReport;
use plimsoll::forecast::score::{Rolling, Summary, score_rolling};
use plimsoll::forecast::{Calendar, ForecastSettings};
use plimsoll::ingest::source::Source;
use plimsoll::report::document::{PlanDocument, parse};
use plimsoll::report::html::{forecast_page, page};
use plimsoll::report::prose;
use plimsoll::report::text::{Style, explain, plan_table};

fn all_runs() -> Vec<(&'static str, Run)> {
    vec![
        ("shop", fixture::shop()),
        ("without-metrics", edges::without_metrics()),
        ("ahead", edges::ahead()),
        ("empty", edges::empty()),
        ("what-to-buy", edges::what_to_buy()),
        ("everything-unplaced", edges::everything_unplaced()),
        ("infeasible", edges::infeasible()),
        ("hostile", edges::hostile()),
        ("huge", edges::huge()),
    ]
}

#[test]
fn a_document_is_read_back_as_it_was_written() {
    for (name, run) in all_runs() {
        let document = PlanDocument::from_run(&run);
        for text in [document.to_json(), document.to_yaml()] {
            let source = Source { name: name.to_owned(), bytes: text.into_bytes() };
            assert_eq!(parse(&source).as_ref(), Ok(&document), "{name}");
        }
    }
}

#[test]
fn the_document_keeps_its_contract() {
    let json = PlanDocument::from_run(&fixture::shop()).to_json();
    let document: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(document["apiVersion"], "plimsoll.dev/v1alpha1");
    assert_eq!(document["kind"], "CapacityPlan");
    let certificate = document["certificate"].as_object().expect("a certificate");
    for field in ["costPerHour", "boundPerHour", "gap", "modelGap", "packingGap"] {
        assert!(certificate[field].is_number(), "{field}");
    }
    assert_eq!(certificate["feasible"], true);
    assert_eq!(certificate["stopped"], "gap");
    assert_eq!(certificate["unmodelledRules"][0], "preferred pod affinity (3 pods)");
    let workloads = document["workloads"].as_array().expect("workloads");
    let nginx = workloads.iter().find(|w| w["name"] == "nginx-deployment").expect("the workload");
    insta::assert_snapshot!(serde_json::to_string_pretty(nginx).expect("JSON"), @r#"
    {
      "namespace": "shop",
      "kind": "Deployment",
      "name": "nginx-deployment",
      "replicasNow": 2,
      "replicas": 3,
      "requestsNow": {
        "cpu": "250m",
        "memory": "128Mi"
      },
      "requests": {
        "cpu": "180m",
        "memory": "160Mi"
      },
      "risk": 0.0004,
      "riskNow": 0.31,
      "why": "14:05 UTC peak 412 req/s (p95), 70 % safe load",
      "target": "web",
      "moves": 0,
      "releasedPerHour": -0.002304
    }
    "#);
    assert!(workloads.iter().any(|w| w["risk"].is_null()));
    let node = &document["nodes"][0];
    for field in ["name", "offer", "zone", "capacityType", "state", "pricePerHour"] {
        assert!(!node[field].is_null(), "{field}");
    }
    let states: Vec<&str> = document["placements"]
        .as_array()
        .expect("placements")
        .iter()
        .filter_map(|placement| placement["state"].as_str())
        .collect();
    for state in ["stay", "move", "new"] {
        assert!(states.contains(&state), "{state}");
    }
    assert_eq!(document["unplaced"][0]["count"], 2);
}

#[test]
fn the_table_fits_eighty_columns() {
    let document = PlanDocument::from_run(&fixture::shop());
    insta::assert_snapshot!(plan_table(&document, 80, Style::PLAIN, false), @r#"
    12 → 9 nodes · 2.88 → 1.99 an hour (−31 %) · within 0.8 % of the best possible
    worst risk 0.4 % (checkout)

    WORKLOAD               REPLICAS  CPU            MEMORY
    shop/recommender       3         3000m → 1200m  6Gi → 5Gi
        23 Nov 11:00 UTC peak 2.45 cores (p95), 70 % safe load
    shop/checkout          6 → 5     1000m → 700m   1Gi → 896Mi
        14:05 UTC peak 96 req/s keeps p95 latency at 184 ms (limit 250 ms), 71 %
        busy
    shop/mailer            2 → 1     200m → 120m    256Mi → 192Mi
        23 Nov 11:00 UTC peak 0.0816 cores (p95), 70 % safe load
    shop/search            4         2000m → 1300m  4Gi → 3584Mi
        14:05 UTC peak 55 req/s (p95), 70 % safe load
    shop/nginx-deployment  2 → 3     250m → 180m    128Mi → 160Mi
        14:05 UTC peak 412 req/s (p95), 70 % safe load
    shop/node-api          8 → 6     500m → 420m    512Mi
        14:05 UTC peak 640 req/s (p95), 70 % safe load
    shop/image-resizer     5 → 7     1000m → 900m   768Mi
        23 Nov 11:00 UTC peak 4.28 cores (p95), 70 % safe load
    shop/metrics-agent     12 → 9    100m           128Mi
        as declared: it cannot be scaled
    shop/cart              4         300m → 260m    256Mi → 288Mi
        14:05 UTC peak 130 req/s (p95), 70 % safe load
    shop/legacy-batch      1         4              8Gi
        as declared: no target of the policy selects it
    2 workloads more stay as they are (-o wide shows them).

    Buy 1 × c5.xlarge in r1a.

    2 pods fit nowhere:
      shop/Deployment/too-big ×2: 0/12 nodes are available: 12 Insufficient cpu.
      Together quota/m5.xlarge/r1a/on-demand and targets.web.zoneLoss leave pods
      without a node; without any one of them the others leave a way.
      To let all in, loosen at least quota/m5.xlarge/r1a/on-demand by 2 (node).

    Forecasts of 25 series: 22 % less error than naive (median over backtests), p95
    held 94 % of the time.
    4 waves, 4 moves (budget 10), 1 change held back by limits.
    Next: plimsoll explain PLAN.json shop/recommender
    "#);
    for (name, run) in all_runs() {
        let text = plan_table(&PlanDocument::from_run(&run), 80, Style::PLAIN, false);
        if name != "hostile" {
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{name}: {text}");
        }
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{name}");
    }
}

#[test]
fn a_terminal_without_unicode_gets_ascii() {
    let document = PlanDocument::from_run(&fixture::shop());
    let text = plan_table(&document, 100, Style { color: true, unicode: false }, true);
    assert!(text.is_ascii(), "{text}");
    assert!(text.contains("12 -> 9 nodes"));
}

#[test]
fn a_workload_is_explained() {
    let document = PlanDocument::from_run(&fixture::shop());
    insta::assert_snapshot!(explain(&document, Some("shop/checkout"), 100).expect("a workload"), @r#"
    shop/checkout (Deployment)
      replicas  6 → 5
      cpu       1 → 700m a pod
      memory    1Gi → 896Mi a pod
      risk      0.01 % → 0.4 % of breaking the objective within 3 h (target web)
      why       14:05 UTC peak 96 req/s keeps p95 latency at 184 ms (limit 250 ms), 71 % busy
      forecast  CPU in use: peak over 3 h p50 1.86 cores, p90 2.09 cores, p95 2.18 cores, p99 2.37
                cores; 37 % less error than naive over 24 backtests
      forecast  memory in use: peak over 3 h p50 3.53 GiB, p90 3.98 GiB, p95 4.16 GiB, p99 4.5 GiB; 37 %
                less error than naive over 24 backtests
      forecast  requests a second: peak over 3 h p50 78.3 req/s, p90 88.3 req/s, p95 92.2 req/s, p99
                99.8 req/s; 37 % less error than naive over 24 backtests
      runs on   new-c5.xlarge-r1a-1 in r1a: 1 pod
      runs on   node-09 in r1a: 1 pod
      runs on   node-12 in r1a: 1 pod
      runs on   node-07 in r1b: 1 pod, 1 arriving
      runs on   node-11 in r1c: 1 pod
      changes   wave 2: scale shop/checkout from 6 to 5
      changes   wave 2: resize shop/checkout: cpu 1 to 700m, memory 1Gi to 896Mi
      changes   wave 3: move shop/checkout-0 from node-03 to node-07
      held by   targets.web.maxSpotShare: one spot node more would save 0.11 an hour
    "#);
    let of_pod = explain(&document, Some("checkout-0"), 100).expect("a pod stands for its workload");
    assert!(of_pod.starts_with("shop/checkout (Deployment)\n"));
}

#[test]
fn the_plan_is_explained() {
    let document = PlanDocument::from_run(&fixture::shop());
    insta::assert_snapshot!(explain(&document, None, 100).expect("the plan"), @r#"
    9 nodes do the work of 12 and save 0.889 an hour (31 %); 2 pods fit nowhere.
    No plan under this policy can cost less than 1.99 an hour; this one costs 2.01, within 0.8 % of the
    best possible. An independent check found every hard rule kept for every placed pod. The search
    stopped at the gap that was asked for.

    cost an hour                           now      proposed
    nodes                                 2.88          1.99
    risk of breaking objectives           0.31         0.012
    moves and node changes                   0         0.009
    pods without a node                      0             0
    in all                                3.19          2.01

    Gap 0.8 %: 0.3 % between the bound and the plan over pools, 0.5 % from placing on concrete nodes.

    What binds:
      - targets.web.maxSpotShare: one spot node more would save 0.11 an hour
      - memory: one GiB in pool m5.xlarge/r1a more would save about 0.0042 an hour
      - disruption.maxMoves: binds, but one move more would save nothing

    Rules in the input that the model leaves out:
      - preferred pod affinity (3 pods)

    Pods that fit nowhere:
      - shop/Deployment/too-big ×2: 0/12 nodes are available: 12 Insufficient cpu. No offer has 96
        cores.

    What keeps them out:
      - Together quota/m5.xlarge/r1a/on-demand and targets.web.zoneLoss leave pods without a node;
        without any one of them the others leave a way.
      - To let all in, loosen at least quota/m5.xlarge/r1a/on-demand by 2 (node).

    Held back for a later plan:
      - scale shop/mailer from 2 to 1; first give mailer-1 the lowest deletion cost, by
        targets.web.behavior.scaleDown

    4 waves, 4 moves (budget 10), 1 change held back by limits.
    Forecasts of 25 series: 22 % less error than naive (median over backtests), p95 held 94 % of the
    time.
    "#);
}

#[test]
fn an_unknown_workload_gets_near_names() {
    let document = PlanDocument::from_run(&fixture::shop());
    let error = explain(&document, Some("shop/chekout"), 100).expect_err("no such workload");
    assert_eq!(error.to_string(), "the plan has no workload \"shop/chekout\"; did you mean shop/checkout?");
}

#[test]
fn an_infeasible_plan_says_so_everywhere() {
    let run = edges::infeasible();
    let document = PlanDocument::from_run(&run);
    assert!(plan_table(&document, 80, Style::PLAIN, false).contains("NOT FEASIBLE"));
    let page = page(&run);
    assert!(page.contains("<h1>This plan breaks 1 rule and must not be applied"));
    assert!(!page.contains("can cost less than"));
}

#[test]
fn the_headline_is_the_finding() {
    let headline = |run: &Run| prose::headline(&PlanDocument::from_run(run));
    assert_eq!(
        headline(&fixture::shop()),
        "9 nodes do the work of 12 and save 0.889 an hour (31 %); 2 pods fit nowhere"
    );
    assert_eq!(headline(&edges::what_to_buy()), "9 nodes at 1.99 an hour hold all 49 pods");
    assert_eq!(headline(&edges::everything_unplaced()), "No pod can be placed: 49 pods fit no node and no offer");
    assert_eq!(headline(&edges::empty()), "There is nothing to plan: no workloads and no nodes");
    let mut growth = fixture::shop();
    growth.plan.unplaced.clear();
    for node in growth.plan.nodes.iter_mut().filter(|node| node.state == NodeState::Remove) {
        node.state = NodeState::Keep;
    }
    growth.plan.certificate.cost.nodes = 3.5;
    assert_eq!(headline(&growth), "1 node more place 3 pending pods for 0.62 more an hour");
}

#[test]
fn hostile_names_stay_text() {
    let page = page(&edges::hostile());
    assert!(!page.contains("<script"));
    assert!(!page.contains("<svg onload"));
    assert!(!page.contains('\u{1b}') && !page.contains('\u{202e}'));
    assert!(page.contains("&lt;script&gt;"));
}

#[test]
fn every_page_is_well_formed_small_and_the_same_each_time() {
    for (name, run) in all_runs() {
        let text = page(&run);
        assert!(text.len() < 2_000_000, "{name}: {} bytes", text.len());
        markup::check(&text).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        assert_eq!(text, page(&run), "{name}");
        for outside in ["http://", "https://", "url(", "@import", "NaN", "inf\""] {
            assert!(!text.contains(outside), "{name}: {outside}");
        }
    }
}

#[test]
fn pages_open_in_a_browser_wide_and_narrow() {
    if !browser::is_installed() {
        return;
    }
    let runs = all_runs();
    let pages: Vec<(&str, String)> = runs.iter().map(|(name, run)| (*name, page(run))).collect();
    let visit = browser::visit(&pages, &[1280, 390]);
    assert_eq!(visit.seen.len(), 2 * pages.len());
    for seen in &visit.seen {
        assert!(seen.overflow <= 0 && seen.beyond.is_empty(), "{} at {}: {seen:#?}", seen.page, seen.width);
        assert_eq!((seen.unnamed_charts, seen.flat_charts), (0, 0), "{}: {seen:#?}", seen.page);
        assert_eq!((seen.scripts, seen.handlers), (0, 0), "{}", seen.page);
        assert!(seen.links >= 14 && seen.broken_links.is_empty(), "{}: {seen:#?}", seen.page);
        assert!(seen.outside_links.is_empty(), "{}: {:?}", seen.page, seen.outside_links);
        assert!(seen.tables >= 2 && !seen.headline.is_empty(), "{}", seen.page);
        let least_charts =
            if matches!(seen.page.as_str(), "shop" | "huge" | "hostile" | "infeasible") { 50 } else { 2 };
        assert!(seen.charts >= least_charts, "{}: {} charts", seen.page, seen.charts);
    }
    // The wrapper says one thing itself, which shows that the console is heard.
    assert_eq!(visit.console.len(), 1, "{:#?}", visit.console);
    assert!(visit.console[0].contains("measured"));
}

/// Forecasts of the shop's workloads with scores, an event, a cold start and a hostile name.
fn forecast_report() -> ForecastReport {
    let run = fixture::shop();
    let mut forecasts = run.forecasts;
    let series = run.series.expect("the shop is measured");
    let start_ms = forecasts[0].start_ms;
    let span = |kind, hours: i64, size| Mark {
        kind,
        start_ms: start_ms + hours * 3_600_000,
        end_ms: start_ms + (hours + 2) * 3_600_000,
        size,
    };
    forecasts[0].marks = vec![
        span(MarkKind::Deploy, -30, Some(1.25)),
        span(MarkKind::Outage, -12, Some(-0.5)),
        span(MarkKind::Event("<script>sale".into()), 4, None),
    ];
    forecasts[0].effects = vec![EventEffect {
        event: "<script>sale".into(),
        occurrences: 3,
        steps_ahead: 2,
        change: Some(Change::Factor(1.5)),
        error: 0.1,
    }];
    let settings = ForecastSettings {
        horizon_steps: 24,
        seasons: Some(vec![144]),
        levels: vec![0.5, 0.95],
        lead_steps: 6,
        calendar: Calendar::default(),
        threads: 2,
    };
    let rolling = Rolling { origins: 2, every_steps: 24 };
    let summary = Summary { season: None, resamples: 100, seed: 1 };
    let scores = Some(score_rolling(&series, &settings, &rolling, &summary, &|_, _| ()));
    ForecastReport { series, forecasts, scores, provenance: run.provenance }
}

#[test]
fn the_page_of_forecasts_is_well_formed_and_says_what_is_borrowed_and_marked() {
    let page = forecast_page(&forecast_report());
    markup::check(&page).unwrap_or_else(|problem| panic!("{problem}"));
    assert!(page.len() < 2_000_000 && !page.contains("<script"));
    for said in [
        "borrow the pooled one",
        "&lt;script&gt;sale",
        ">outage<",
        ">lasting<",
        "× 1.5 ± 0.1 from 3",
        "Naive2",
        "rolling origins",
        "mostly zero",
    ] {
        assert!(page.contains(said), "{said}");
    }
    for outside in ["http://", "https://", "url(", "@import", "NaN", "inf\""] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn the_page_of_forecasts_opens_in_a_browser_wide_and_narrow() {
    if !browser::is_installed() {
        return;
    }
    let visit = browser::visit(&[("forecasts", forecast_page(&forecast_report()))], &[1280, 390]);
    assert_eq!(visit.seen.len(), 2);
    for seen in &visit.seen {
        assert!(seen.overflow <= 0 && seen.beyond.is_empty(), "{seen:#?}");
        assert_eq!((seen.unnamed_charts, seen.flat_charts, seen.scripts, seen.handlers), (0, 0, 0, 0), "{seen:#?}");
        assert!(seen.broken_links.is_empty() && seen.outside_links.is_empty() && seen.charts >= 20, "{seen:#?}");
    }
}
