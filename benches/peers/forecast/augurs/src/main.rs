//! Forecasts series from standard input (`name,value` lines, a series' values together and in order) with augurs' MSTL
//! on an ETS trend, and prints `name,mean,low,high` lines.

use std::io::{Read, Write};

use augurs::{ets::AutoETS, mstl::MSTLModel, prelude::*};

fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|a| a.parse().expect("a count of steps")).collect();
    let (horizon, seasons) = numbers.split_first().expect("HORIZON SEASON…");
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).expect("text");
    let mut series: Vec<(String, Vec<f64>)> = Vec::new();
    for line in text.lines() {
        let (name, value) = line.rsplit_once(',').expect("name,value");
        if series.last().is_none_or(|(last, _)| last != name) {
            series.push((name.to_owned(), Vec::new()));
        }
        series.last_mut().expect("just made").1.push(value.parse().expect("a number"));
    }
    let forecasts: Vec<_> = series
        .iter()
        .map(|(_, values)| {
            let trend = AutoETS::non_seasonal().into_trend_model();
            let fit = MSTLModel::new(seasons.to_vec(), trend).fit(values).expect("a fit");
            fit.predict(*horizon, 0.95).expect("a forecast")
        })
        .collect();
    let mut out = std::io::stdout().lock();
    for ((name, _), forecast) in series.iter().zip(forecasts) {
        let bounds = forecast.intervals.expect("an interval was asked for");
        for h in 0..*horizon {
            writeln!(out, "{name},{},{},{}", forecast.point[h], bounds.lower[h], bounds.upper[h]).expect("a reader");
        }
    }
}
