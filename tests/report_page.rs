//! The report as its readers meet it: the document, the terminal's tables, the page in a browser.

#[path = "report_page/fixture.rs"]
mod fixture;

use plimsoll::report::document::PlanDocument;
use plimsoll::report::text::{Style, explain, plan_table};

#[test]
fn look() {
    let document = PlanDocument::from_run(&fixture::shop());
    println!("{}", plan_table(&document, 80, Style::PLAIN, false));
    println!("{}", plan_table(&document, 130, Style { color: true, unicode: true }, true));
    println!("{}", explain(&document, None).unwrap());
    println!("{}", explain(&document, Some("checkout")).unwrap());
    println!("{:?}", explain(&document, Some("chekout")).map_err(|e| e.to_string()));
}

#[test]
#[ignore = "writes pages to look at"]
fn pages_to_look_at() {
    let directory =
        std::path::PathBuf::from(std::env::var("PLIMSOLL_PAGES").expect("PLIMSOLL_PAGES names a directory"));
    for (name, run) in [
        ("shop", fixture::shop()),
        ("without-metrics", fixture::without_metrics()),
        ("empty", fixture::empty()),
        ("unplaced", fixture::everything_unplaced()),
        ("infeasible", fixture::infeasible()),
        ("hostile", fixture::hostile()),
        ("huge", fixture::huge()),
    ] {
        let page = plimsoll::report::html::page(&run);
        println!("{name}: {} bytes", page.len());
        std::fs::write(directory.join(format!("{name}.html")), page).expect("the directory can be written");
    }
}
