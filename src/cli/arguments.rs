//! What the user can say.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Decides replicas, sizes, nodes and placement for a Kubernetes cluster jointly, and proves how good the plan is.
#[derive(Debug, Parser)]
#[command(
    name = "plimsoll",
    version,
    about,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit codes: 0 done · 1 finding · 2 wrong input · 3 internal error · 4 time limit, plan usable · 130 interrupted"
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Plan replicas, requests, nodes and placement, with a proof
    Plan(PlanArguments),
    /// Forecast time series with calibrated quantiles
    Forecast(ForecastArguments),
    /// Bring measurements onto one axis and show them, their quality and the five models
    Series(SeriesArguments),
    /// Check, show and list policies
    Policy(PolicyArguments),
    /// Explain a plan, or what it does with one workload
    Explain(ExplainArguments),
    /// Compare two plans: cost and bound, what binds, workloads, nodes
    Compare(CompareArguments),
    /// Write the sample cluster: a dump, metrics and a catalog
    Sample(SampleArguments),
    /// Print the completion script of a shell
    Completions(CompletionsArguments),
    /// Print the manual page, or write one a command
    Man(ManArguments),
}

/// The cluster and its metrics.
#[derive(Debug, Args)]
pub(super) struct SourceArguments {
    /// Dump of the cluster: what `kubectl get … -A -o json|yaml` prints, plain or gzip; repeatable, `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(super) cluster: Vec<PathBuf>,
    /// Read the cluster that the kubeconfig points to, instead of a dump
    #[arg(long, conflicts_with = "cluster")]
    pub(super) live: bool,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME", requires = "live", conflicts_with = "cluster")]
    pub(super) context: Option<String>,
    /// Exported metrics: Parquet, CSV, OpenMetrics or Prometheus text; repeatable
    #[arg(long, value_name = "FILE")]
    pub(super) metrics: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) prometheus: PrometheusArguments,
    /// Policy file, or the name of a ready-made one (see `plimsoll policy list`)
    #[arg(long, value_name = "FILE|NAME", env = "PLIMSOLL_POLICY")]
    pub(super) policy: Option<PathBuf>,
}

/// Where to ask for metrics.
#[derive(Debug, Args)]
pub(super) struct PrometheusArguments {
    /// Prometheus, Thanos or Mimir to query, e.g. `http://localhost:9090`
    #[arg(long, value_name = "URL", env = "PLIMSOLL_PROMETHEUS")]
    pub(super) prometheus: Option<String>,
    /// Days of history to ask for
    #[arg(long, value_name = "DAYS", default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..=400), requires = "prometheus")]
    pub(super) since_days: u32,
    /// File with a bearer token
    #[arg(long, value_name = "FILE", requires = "prometheus")]
    pub(super) bearer_token_file: Option<PathBuf>,
    /// File with certificates of authorities to trust, PEM
    #[arg(long, value_name = "FILE", requires = "prometheus")]
    pub(super) ca_file: Option<PathBuf>,
}

/// When to stop solving.
#[derive(Debug, Args)]
pub(super) struct StopArguments {
    /// Seconds for the whole command; the best checked plan so far is given then
    #[arg(long, value_name = "SECONDS", default_value_t = 45.0, value_parser = positive_seconds)]
    pub(super) time_limit: f64,
    /// Stop once (cost − bound) / cost is at most this
    #[arg(long, value_name = "SHARE", default_value_t = 0.005, value_parser = share)]
    pub(super) gap: f64,
    /// Seed of every random choice
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Threads
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) threads: u16,
}

#[derive(Debug, Args)]
pub(super) struct PlanArguments {
    #[command(flatten)]
    pub(super) sources: SourceArguments,
    /// Catalog of nodes that can be bought; without one, the shapes the cluster has, at estimated prices
    #[arg(long, value_name = "FILE")]
    pub(super) catalog: Option<PathBuf>,
    /// Earlier plan to begin from, as JSON from `plimsoll plan -o json`, plain or gzip
    #[arg(long, value_name = "PLAN.json")]
    pub(super) from: Option<PathBuf>,
    #[command(flatten)]
    pub(super) stop: StopArguments,
    /// What to print
    #[arg(short, long, value_enum, default_value_t = PlanFormat::Table)]
    pub(super) output: PlanFormat,
    /// Also write the HTML report to this file
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Also write the plan as JSON to this file
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Time the report is dated with, RFC 3339; the present by default
    #[arg(long, value_name = "TIME", value_parser = instant_ms)]
    pub(super) now: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PlanFormat {
    /// A headline, a table, a line on trust
    Table,
    /// The table with nodes, moves and reasons
    Wide,
    /// The plan document as JSON
    Json,
    /// The plan document as YAML
    Yaml,
    /// The report as one self-contained page
    Html,
}

#[derive(Debug, Args)]
pub(super) struct ForecastArguments {
    /// Series: CSV or Parquet, long (`series, timestamp|step, value`) or wide (one column a series)
    #[arg(long, value_name = "FILE", required = true)]
    pub(super) input: Vec<PathBuf>,
    /// Steps ahead
    #[arg(long, value_name = "STEPS", default_value_t = 48, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) horizon: u32,
    /// Seasons in steps, e.g. `24` or `24,168`; found in the data by default, `0` is none
    #[arg(long, value_name = "STEPS", value_delimiter = ',')]
    pub(super) season: Option<Vec<u32>>,
    /// Quantile levels
    #[arg(long, value_name = "LEVELS", value_delimiter = ',', default_value = "0.025,0.5,0.975", value_parser = level)]
    pub(super) quantiles: Vec<f64>,
    /// Steps of the lead time whose maximum is forecast too
    #[arg(long, value_name = "STEPS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) lead: u32,
    /// Threads
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) threads: u16,
    /// Score the method against naive ones on rolling origins inside the data, instead of printing forecasts
    #[arg(long)]
    pub(super) backtest: bool,
    /// Rolling origins
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000), requires = "backtest")]
    pub(super) origins: u32,
    /// Distance between origins: steps (`24`) or a duration (`6h`); the horizon by default
    #[arg(long, value_name = "STEPS|DURATION", requires = "backtest")]
    pub(super) every: Option<String>,
    /// Score the forecasts against what followed, in a table of the same form
    #[arg(long, value_name = "FILE", conflicts_with = "backtest")]
    pub(super) truth: Option<PathBuf>,
    /// Known events: a file with `events` as in a policy
    #[arg(long, value_name = "FILE")]
    pub(super) events: Option<PathBuf>,
    /// Keep what was learnt in this file: only newer samples are taken from the input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["backtest", "truth"])]
    pub(super) state: Option<PathBuf>,
    /// With `--state`, steps after which everything is fitted anew; half the horizon by default
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u32).range(1..=100_000), requires = "state")]
    pub(super) refresh: Option<u32>,
    /// Seed of the bootstrap behind the scores' ranges; forecasts draw no random numbers
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// What to print
    #[arg(short, long, value_enum, default_value_t = ForecastFormat::Table)]
    pub(super) output: ForecastFormat,
    /// Write to this file instead of standard output, whole or not at all
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Time the page is dated with, RFC 3339; the present by default
    #[arg(long, value_name = "TIME", value_parser = instant_ms)]
    pub(super) now: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ForecastFormat {
    /// A line a series: peak, trust, season
    Table,
    /// `series, step|timestamp, mean, q…`; with scores `method, measure, value, low, high`
    Csv,
    /// All of it
    Json,
    /// One self-contained page: the fans, coverage, scores
    Html,
}

#[derive(Debug, Args)]
pub(super) struct SeriesArguments {
    #[command(flatten)]
    pub(super) sources: SourceArguments,
    /// Seconds between instants; the policy's by default
    #[arg(long, value_name = "SECONDS", value_parser = positive_seconds)]
    pub(super) step: Option<f64>,
    /// Which rows
    #[arg(long, value_enum, default_value_t = SeriesLevel::Workloads)]
    pub(super) level: SeriesLevel,
    /// What to print
    #[arg(short, long, value_enum, default_value_t = SeriesFormat::Table)]
    pub(super) output: SeriesFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SeriesLevel {
    /// One row a pod and signal
    Pods,
    /// One row a workload and signal
    Workloads,
    /// The five models R, D, S, B, E of each workload
    Models,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SeriesFormat {
    /// A line a row: range, last value, quality
    Table,
    /// `series, timestamp, value`
    Csv,
    /// All of it
    Json,
}

#[derive(Debug, Args)]
pub(super) struct PolicyArguments {
    #[command(subcommand)]
    pub(super) command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Check policy files: every problem with its line and column
    Check {
        /// Policy files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// List the ready-made policies
    List,
    /// Print a ready-made policy
    Show {
        /// Its name
        name: String,
    },
    /// Print the JSON Schema of policy documents
    Schema,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArguments {
    /// Plan as JSON, from `plimsoll plan -o json`
    #[arg(value_name = "PLAN.json")]
    pub(super) plan: PathBuf,
    /// Workload: `namespace/name`, or the name alone where it is unique
    pub(super) workload: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct CompareArguments {
    /// Plan as JSON, from `plimsoll plan -o json`
    #[arg(value_name = "FIRST.json")]
    pub(super) first: PathBuf,
    /// The plan to hold against it
    #[arg(value_name = "SECOND.json")]
    pub(super) second: PathBuf,
    /// What to print
    #[arg(short, long, value_enum, default_value_t = CompareFormat::Table)]
    pub(super) output: CompareFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum CompareFormat {
    /// Both plans side by side
    Table,
    /// All of it
    Json,
}

#[derive(Debug, Args)]
pub(super) struct SampleArguments {
    /// Folder to write to
    #[arg(long, value_name = "FOLDER")]
    pub(super) out: PathBuf,
    /// Seed; equal seeds give equal files
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
}

#[derive(Debug, Args)]
pub(super) struct CompletionsArguments {
    /// Shell
    #[arg(value_enum)]
    pub(super) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArguments {
    /// Folder to write one page a command to; the main page goes to standard output without it
    #[arg(long, value_name = "FOLDER")]
    pub(super) out: Option<PathBuf>,
}

fn positive_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 86_400.0 * 7.0 => Ok(seconds),
        _ => Err("expected seconds above 0 and at most a week".to_owned()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("expected a share from 0 to below 1".to_owned()),
    }
}

fn level(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(level) if level > 0.0 && level < 1.0 => Ok(level),
        _ => Err("expected a level between 0 and 1".to_owned()),
    }
}

fn instant_ms(text: &str) -> Result<i64, String> {
    let time: jiff::Timestamp = text.parse().map_err(|e: jiff::Error| e.to_string())?;
    Ok(time.as_millisecond())
}
