//! One self-contained page: no script, nothing from outside, light and dark, fit for print and for a phone.

mod chart;
mod view;

use minijinja::{Environment, UndefinedBehavior, value::Serde};

use serde::Serialize;

use crate::domain::Run;
use crate::domain::run::ForecastReport;

const TEMPLATES: [(&str, &str); 13] = [
    ("frame.html", include_str!("../templates/frame.html")),
    ("page.html", include_str!("../templates/page.html")),
    ("forecasts.html", include_str!("../templates/forecasts.html")),
    ("style.css", include_str!("../templates/style.css")),
    ("macros.html", include_str!("../templates/macros.html")),
    ("summary.html", include_str!("../templates/summary.html")),
    ("cost.html", include_str!("../templates/cost.html")),
    ("nodes.html", include_str!("../templates/nodes.html")),
    ("workloads.html", include_str!("../templates/workloads.html")),
    ("models.html", include_str!("../templates/models.html")),
    ("trust.html", include_str!("../templates/trust.html")),
    ("undone.html", include_str!("../templates/undone.html")),
    ("inputs.html", include_str!("../templates/inputs.html")),
];

/// The page of a run, at most 2 MB however large the cluster.
///
/// # Panics
/// Never on any run: the templates are part of the program and see only the fields of `view::Page`.
#[must_use]
pub fn page(run: &Run) -> String {
    render("page.html", &view::Page::of(run)).expect("templates render every field of the page")
}

/// The page of forecasts, at most 2 MB however many series there are.
///
/// # Panics
/// Never on any report: the template is part of the program and sees only the fields of `view::ForecastPage`.
#[must_use]
pub fn forecast_page(report: &ForecastReport) -> String {
    render("forecasts.html", &view::ForecastPage::of(report)).expect("templates render every field of the page")
}

fn render(template: &str, page: &impl Serialize) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    for (name, source) in TEMPLATES {
        environment.add_template(name, source)?;
    }
    environment.get_template(template)?.render(Serde(page))
}
