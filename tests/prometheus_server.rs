//! Range queries against a server that misbehaves on purpose, and against the real Prometheus from Debian.

#![cfg(feature = "cluster")]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use plimsoll::domain::Samples;
use plimsoll::ingest::prometheus::{Endpoint, PrometheusError, Retry, query_range};

/// Reads a request and returns its head and body.
fn request(stream: impl Read) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some((head, String::from_utf8(body).ok()?))
}

/// A server on a free loopback port that answers each request with what `answer` makes of its number and body.
/// It lives as long as the test.
fn serve(answer: impl Fn(usize, &str, &str) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            if let Some((head, body)) = request(&stream) {
                // A client that has gone is not this server's concern.
                let _ = (&stream).write_all(answer(number, &head, &body).as_bytes());
            }
        }
    });
    address
}

/// The same over TLS, with a certificate of the authority that is returned first.
fn serve_tls(folder: &Path, answer: impl Fn(usize, &str, &str) -> String + Send + 'static) -> (Vec<u8>, String) {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let (authority, _) = certificates(folder);
    let certificate = CertificateDer::from_pem_file(folder.join("server.crt")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let address = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream);
            if let Some((head, body)) = request(&mut stream) {
                let _ = stream.write_all(answer(number, &head, &body).as_bytes());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    (authority, address)
}

fn http(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

fn matrix(values: &str) -> String {
    let body = format!(
        "{{\"status\":\"success\",\"warnings\":[\"slow store\"],\"data\":{{\"resultType\":\"matrix\",\"result\":\
         [{{\"metric\":{{\"__name__\":\"up\"}},\"values\":[{values}]}}]}}}}"
    );
    http("200 OK", "", &body)
}

fn impatient(url: String) -> Endpoint {
    let retry =
        Retry { first_wait: Duration::from_millis(5), longest_wait: Duration::from_millis(50), ..Retry::default() };
    Endpoint { timeout: Duration::from_secs(2), retry, ..Endpoint::new(url) }
}

fn ask(endpoint: &Endpoint) -> Result<Samples, PrometheusError> {
    query_range(endpoint, &["up".to_owned()], 0, 60_000, 15_000, &mut |_, _| ())
}

#[test]
fn too_many_requests_and_failures_are_repeated_until_they_pass() {
    let url = serve(|number, head, body| match number {
        0 => http("429 Too Many Requests", "Retry-After: 0\r\n", ""),
        1 => http("503 Service Unavailable", "", "upstream"),
        2 => String::new(),
        _ => {
            assert!(head.starts_with("POST /prefix/api/v1/query_range HTTP/1.1\r\n"), "{head}");
            assert!(head.to_ascii_lowercase().contains("authorization: bearer secret\r\n"), "{head}");
            assert_eq!(body, "query=up&start=0.000&end=60.000&step=15.000");
            matrix("[0,\"1\"],[15.5,\"NaN\"],[30,\"0.25\"]")
        }
    });
    let endpoint = Endpoint { bearer: Some("secret\n".into()), ..impatient(format!("{url}/prefix/")) };
    let mut seen = Vec::new();
    let samples =
        query_range(&endpoint, &["up".to_owned()], 0, 60_000, 15_000, &mut |done, total| seen.push((done, total)))
            .unwrap();
    assert_eq!((samples.timestamps_ms, samples.values), (vec![0, 30_000], vec![1.0, 0.25]));
    assert_eq!(samples.notes, ["Prometheus warns: slow store", "samples without a value (NaN) left out: 1"]);
    assert_eq!(seen, [(0, 1), (1, 1)]);
}

#[test]
fn a_bearer_token_goes_over_tls_to_a_server_that_is_known_and_to_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Arc::new(AtomicU64::new(0));
    let heard = Arc::clone(&asked);
    let (authority, url) = serve_tls(folder.path(), move |_, head, _| {
        heard.fetch_add(1, Ordering::SeqCst);
        if head.to_ascii_lowercase().contains("authorization: bearer secret\r\n") {
            matrix("[0,\"1\"]")
        } else {
            http("401 Unauthorized", "", "who are you?")
        }
    });
    let bearer = Some("secret".to_owned());
    let known = Endpoint { bearer, ca_pem: Some(authority), ..impatient(url.clone()) };
    assert_eq!(ask(&known).unwrap().values, [1.0]);
    let refused = ask(&Endpoint { bearer: None, ..known.clone() }).unwrap_err().to_string();
    assert_eq!(refused, format!("{url} answered 401 to \"up\" (attempt 1): who are you?"));

    let elsewhere = tempfile::tempdir().unwrap();
    let (stranger, _) = certificates(elsewhere.path());
    let before = asked.load(Ordering::SeqCst);
    for ca_pem in [None, Some(stranger)] {
        let retry = Retry { attempts: 1, ..Retry::default() };
        let error = ask(&Endpoint { ca_pem, retry, ..known.clone() }).unwrap_err().to_string();
        assert!(error.contains("certificate"), "{error}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), before, "nothing was sent before the certificate was known to be good");
}

#[test]
fn a_failure_that_stays_ends_after_all_attempts() {
    let url = serve(|_, _, _| http("500 Internal Server Error", "", "<html>\u{1b}[31mproxy broke</html>"));
    let error = ask(&impatient(url.clone())).unwrap_err();
    let expected = format!("{url} answered 500 to \"up\" (attempt 5): <html>[31mproxy broke</html>");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_refusal_is_not_repeated_and_shows_prometheus_reason() {
    let body = "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"unclosed left parenthesis\"}";
    let url = serve(move |number, _, _| {
        assert_eq!(number, 0, "asked again");
        http("400 Bad Request", "", body)
    });
    let error = ask(&impatient(url.clone())).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{url} answered 400 to \"up\" (attempt 1): bad_data: unclosed left parenthesis")
    );
}

#[test]
fn a_redirect_is_shown_and_not_followed() {
    let url = serve(|_, _, _| http("302 Found", "Location: /login\r\n", ""));
    let error = ask(&impatient(url)).unwrap_err().to_string();
    assert!(error.ends_with("(attempt 1): redirects to /login; give that address"), "{error}");
}

#[test]
fn an_answer_that_is_no_matrix_is_refused() {
    for (body, problem) in [
        (
            "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"met",
            "is no response of Prometheus' query_range",
        ),
        ("{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[]}}", "is no matrix of Prometheus"),
        ("<html>", "is no response of Prometheus' query_range"),
        ("", "is no response of Prometheus' query_range"),
    ] {
        let url = serve(move |_, _, _| http("200 OK", "", body));
        let error = ask(&impatient(url)).unwrap_err();
        assert!(matches!(error, PrometheusError::Response(_)), "{error:?}");
        assert!(error.to_string().contains(problem), "{error}");
    }
}

#[test]
fn an_answer_cut_off_or_late_is_no_answer() {
    let cut = serve(|_, _, _| "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"status\"".to_owned());
    let error = ask(&impatient(cut)).unwrap_err();
    assert!(matches!(error, PrometheusError::Unreachable { attempts: 5, .. }), "{error}");

    let late = serve(|_, _, _| {
        std::thread::sleep(Duration::from_millis(300));
        String::new()
    });
    let patience = Retry { attempts: 1, ..Retry::default() };
    let endpoint = Endpoint { timeout: Duration::from_millis(50), retry: patience, ..Endpoint::new(late.clone()) };
    assert_eq!(
        ask(&endpoint).unwrap_err().to_string(),
        format!("failed to reach {late} in 1 attempts: no answer within 0.05 s")
    );
}

#[test]
fn nobody_there_is_said() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = ask(&impatient(format!("http://{free}"))).unwrap_err().to_string();
    assert!(error.contains("in 5 attempts") && error.contains("refused"), "{error}");
}

#[test]
fn large_answers_are_read_whole() {
    let points: Vec<String> = (0..11_000).map(|i| format!("[{i},\"{i}.5\"]")).collect();
    let points = points.join(",");
    let rows: Vec<String> = (0..50)
        .map(|pod| format!("{{\"metric\":{{\"__name__\":\"up\",\"pod\":\"{pod}\"}},\"values\":[{points}]}}"))
        .collect();
    let body =
        format!("{{\"status\":\"success\",\"data\":{{\"resultType\":\"matrix\",\"result\":[{}]}}}}", rows.join(","));
    let url = serve(move |_, _, _| http("200 OK", "", &body));
    let samples = ask(&Endpoint { timeout: Duration::from_mins(1), ..impatient(url) }).unwrap();
    assert_eq!((samples.keys.len(), samples.len()), (50, 550_000));
    assert_eq!(samples.values.last(), Some(&10_999.5));
}

/// A process that ends with the test, however the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether the tools are here; says why the test is skipped where they may be missing.
fn has_tools() -> bool {
    let here = ["prometheus", "promtool"].iter().all(|tool| {
        Command::new(tool)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|s| s.success())
    });
    assert!(here || std::env::var_os("PLIMSOLL_REQUIRE_TOOLS").is_none(), "prometheus and promtool are not installed");
    if !here {
        eprintln!("skipped: prometheus and promtool are not installed (Debian package prometheus)");
    }
    here
}

/// The history that is filled in: one gauge every 15 s over 50 hours, which is more than one request may ask for.
const HISTORY_START_S: i64 = 1_700_000_010;
const HISTORY_POINTS: i64 = 12_000;

fn history_value(point: i64) -> f64 {
    (point * 7919 % 1000) as f64 / 8.0
}

fn fill_history(folder: &Path, data: &Path) {
    let mut text = String::from("# TYPE past_load gauge\n");
    for point in 0..HISTORY_POINTS {
        writeln!(text, "past_load{{pod=\"a\"}} {} {}", history_value(point), HISTORY_START_S + 15 * point).unwrap();
    }
    text.push_str("# EOF\n");
    let input = folder.join("history.om");
    std::fs::write(&input, text).unwrap();
    let output = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .arg(&input)
        .arg(data)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A scraped service: the n-th scrape sees 10·n requests, of which n took longer than 0.1 s, and a queue of 3.
fn scraped(scrapes: Arc<AtomicU64>) -> String {
    serve(move |_, _, _| {
        let n = scrapes.fetch_add(1, Ordering::SeqCst) + 1;
        let text = format!(
            "# TYPE shop_requests_total counter\nshop_requests_total{{code=\"200\"}} {}\n\
             # TYPE shop_queue gauge\nshop_queue 3\n# TYPE shop_latency_seconds histogram\n\
             shop_latency_seconds_bucket{{le=\"0.1\"}} {}\nshop_latency_seconds_bucket{{le=\"+Inf\"}} {}\n\
             shop_latency_seconds_sum {}\nshop_latency_seconds_count {}\n",
            10 * n,
            9 * n,
            10 * n,
            n,
            10 * n
        );
        http("200 OK", "Content-Type: text/plain; version=0.0.4\r\n", &text)
    })
}

/// Makes a certificate authority and a server certificate for 127.0.0.1; returns the authority's certificate, PEM, and
/// the configuration that lets Prometheus serve with the other.
fn certificates(folder: &Path) -> (Vec<u8>, PathBuf) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(params, authority_key);
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let (cert_file, key_file) = (folder.join("server.crt"), folder.join("server.key"));
    std::fs::write(&cert_file, server.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let web = folder.join("web.yml");
    let (cert, key) = (cert_file.display(), key_file.display());
    std::fs::write(&web, format!("tls_server_config: {{cert_file: '{cert}', key_file: '{key}'}}\n")).unwrap();
    (authority.pem().into_bytes(), web)
}

/// `web` is Prometheus' configuration of its own server, for TLS.
fn start_prometheus(folder: &Path, data: &Path, target: &str, web: Option<&Path>) -> (Running, String) {
    let scheme = if web.is_some() { "https" } else { "http" };
    let config = folder.join("prometheus.yml");
    let target = target.trim_start_matches("http://");
    let text = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: shop\n  static_configs: [{{targets: ['{target}']}}]\n"
    );
    std::fs::write(&config, text).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", data.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg(format!("--web.external-url={scheme}://127.0.0.1:{port}/prometheus"))
        .args(web.map(|web| format!("--web.config.file={}", web.display())))
        .args(["--storage.tsdb.retention.time=36500d", "--log.level=warn"])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    (Running(child), format!("{scheme}://127.0.0.1:{port}/prometheus"))
}

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Values of one series in order of time.
fn values(samples: &Samples, metric: &str, label: Option<(&str, &str)>) -> Vec<f64> {
    let matches = |key: &plimsoll::domain::samples::SeriesKey| {
        key.metric == metric && label.is_none_or(|(name, value)| key.labels.get(name).is_some_and(|v| v == value))
    };
    let mut rows: Vec<(i64, f64)> = (0..samples.len())
        .filter(|&i| matches(&samples.keys[samples.series[i] as usize]))
        .map(|i| (samples.timestamps_ms[i], samples.values[i]))
        .collect();
    rows.sort_by_key(|&(time_ms, _)| time_ms);
    rows.into_iter().map(|(_, value)| value).collect()
}

/// What a server answers once it is up and has done its work; its last excuse is the panic's message after 20 s.
fn eventually<T>(mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(excuse) => assert!(Instant::now() < deadline, "{excuse}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn the_real_prometheus_answers_with_what_was_scraped_and_filled_in() {
    if !has_tools() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fill_history(folder.path(), &data);
    let scrapes = Arc::new(AtomicU64::new(0));
    let (_prometheus, url) = start_prometheus(folder.path(), &data, &scraped(Arc::clone(&scrapes)), None);
    let endpoint = impatient(url);
    let log = || std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();

    let query = "{__name__=~\"shop_.*\"}".to_owned();
    let fresh = eventually(|| {
        let end = now_ms() / 1000 * 1000;
        match query_range(&endpoint, std::slice::from_ref(&query), end - 30_000, end, 1000, &mut |_, _| ()) {
            Ok(samples) if values(&samples, "shop_requests_total", None).last().is_some_and(|&last| last >= 40.0) => {
                Ok(samples)
            }
            other => Err(format!("{other:?}\n{}", log())),
        }
    });
    let seen = scrapes.load(Ordering::SeqCst) as f64;
    let requests = values(&fresh, "shop_requests_total", Some(("code", "200")));
    assert!(
        requests.is_sorted() && requests.iter().all(|v| v % 10.0 == 0.0 && (10.0..=10.0 * seen).contains(v)),
        "{requests:?}"
    );
    assert_eq!(values(&fresh, "shop_queue", Some(("job", "shop"))), vec![3.0; requests.len()]);
    let fast = values(&fresh, "shop_latency_seconds_bucket", Some(("le", "0.1")));
    let all = values(&fresh, "shop_latency_seconds_bucket", Some(("le", "+Inf")));
    assert_eq!(all, requests);
    assert_eq!(fast, requests.iter().map(|v| v / 10.0 * 9.0).collect::<Vec<_>>());

    let start = HISTORY_START_S * 1000;
    let end = start + (HISTORY_POINTS - 1) * 15_000;
    let requests_made = Mutex::new(Vec::new());
    let past = query_range(&endpoint, &["past_load".to_owned()], start, end, 15_000, &mut |done, total| {
        requests_made.lock().unwrap().push((done, total));
    })
    .unwrap();
    assert_eq!(*requests_made.lock().unwrap(), [(0, 2), (1, 2), (2, 2)]);
    assert_eq!(
        values(&past, "past_load", Some(("pod", "a"))),
        (0..HISTORY_POINTS).map(history_value).collect::<Vec<_>>()
    );
    assert_eq!(past.keys.len(), 1);

    let error =
        query_range(&endpoint, &["sum(".to_owned()], start, end, 60_000, &mut |_, _| ()).unwrap_err().to_string();
    assert!(error.contains("answered 400 to \"sum(\"") && error.contains("bad_data: "), "{error}");
}

#[test]
fn tls_is_verified_against_the_certificate_authority_given() {
    if !has_tools() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fill_history(folder.path(), &data);
    let (authority, web) = certificates(folder.path());
    let elsewhere = tempfile::tempdir().unwrap();
    let (stranger, _) = certificates(elsewhere.path());
    let (_prometheus, url) = start_prometheus(folder.path(), &data, &scraped(Arc::new(AtomicU64::new(0))), Some(&web));
    let start = HISTORY_START_S * 1000;
    let ask = |endpoint: &Endpoint| {
        query_range(endpoint, &["past_load".to_owned()], start, start + 60_000, 15_000, &mut |_, _| ())
    };

    let trusting = Endpoint { ca_pem: Some(authority), ..impatient(url.clone()) };
    let samples = eventually(|| ask(&trusting).map_err(|error| error.to_string()));
    assert_eq!(values(&samples, "past_load", Some(("pod", "a"))), (0..5).map(history_value).collect::<Vec<_>>());

    let once = Retry { attempts: 1, ..Retry::default() };
    for ca_pem in [None, Some(stranger)] {
        let error = ask(&Endpoint { ca_pem, retry: once, ..impatient(url.clone()) }).unwrap_err().to_string();
        assert!(error.contains("certificate"), "{error}");
    }
    let plain = url.replace("https://", "http://");
    let error = ask(&Endpoint { retry: once, ..impatient(plain) }).unwrap_err().to_string();
    assert!(error.contains("400"), "a server of HTTPS asked in plain text: {error}");
}
