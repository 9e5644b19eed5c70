//! A server and the connection to it.

use std::fmt;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::header::{
    AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, USER_AGENT,
};
use hyper::{Method, Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::error::PrometheusError;
use super::retry::Retry;

/// Largest answer that is read. 11,000 points of 1,000 series are about 300 MB.
const MAX_ANSWER_BYTES: usize = 1 << 30;

/// Where a server is and how to talk to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `http://` or `https://`, host, port and path prefix, without `/api/v1`: `https://mimir.example/prometheus`.
    pub url: String,
    /// Token sent as `Authorization: Bearer`.
    pub bearer: Option<String>,
    /// Certificate authorities to trust instead of the system's, PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// How long one request may take, from connecting to the last byte.
    pub timeout: Duration,
    /// When to ask again.
    pub retry: Retry,
}

impl Endpoint {
    /// A server without a token, with the system's certificate authorities and two minutes a request, which is how
    /// long Prometheus itself works on a query.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), bearer: None, ca_pem: None, timeout: Duration::from_secs(120), retry: Retry::default() }
    }
}

impl fmt::Debug for Endpoint {
    /// Everything but the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, bearer, ca_pem, timeout, retry } = self;
        f.debug_struct("Endpoint")
            .field("url", url)
            .field("bearer", &bearer.as_ref().map(|_| "…"))
            .field("ca_pem", &ca_pem.is_some())
            .field("timeout", timeout)
            .field("retry", retry)
            .finish()
    }
}

/// An answer of whatever status.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<String>,
    pub(super) date: Option<String>,
    pub(super) location: Option<String>,
    pub(super) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// May pass.
    Connection(String),
    /// Will not pass.
    TooLarge,
}

/// An endpoint whose settings were checked.
pub(super) struct Connection {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    query_range: Uri,
    authorization: Option<HeaderValue>,
    timeout: Duration,
}

impl Connection {
    pub(super) fn new(endpoint: &Endpoint) -> Result<Self, PrometheusError> {
        let query_range = address(&endpoint.url)?;
        let authorization = endpoint.bearer.as_deref().map(authorization).transpose()?;
        let provider = rustls::crypto::ring::default_provider();
        // Without a certificate authority of its own, a plain address must not fail for the lack of the system's.
        let connector = HttpsConnectorBuilder::new();
        let connector = match &endpoint.ca_pem {
            None if query_range.scheme_str() == Some("https") => {
                connector.with_provider_and_native_roots(provider).map_err(|error| {
                    setting("certificate authorities", format!("of the system failed to load: {error}"))
                })?
            }
            pem => {
                let roots = roots(pem.as_deref().unwrap_or_default())?;
                let config = ClientConfig::builder_with_provider(provider.into())
                    .with_safe_default_protocol_versions()
                    .map_err(|error| setting("TLS", format!("failed to set up: {error}")))?
                    .with_root_certificates(roots)
                    .with_no_client_auth();
                connector.with_tls_config(config)
            }
        };
        let client = Client::builder(TokioExecutor::new()).build(connector.https_or_http().enable_http1().build());
        Ok(Self { client, query_range, authorization, timeout: endpoint.timeout })
    }

    /// Sends a form to `query_range`.
    pub(super) async fn post(&self, form: String) -> Result<Answer, Failure> {
        match tokio::time::timeout(self.timeout, self.send(form)).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::Connection(format!("no answer within {} s", self.timeout.as_secs_f64()))),
        }
    }

    async fn send(&self, form: String) -> Result<Answer, Failure> {
        let mut request = Request::new(Full::new(Bytes::from(form)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.query_range.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("plimsoll/", env!("CARGO_PKG_VERSION"))));
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let answer = self.client.request(request).await.map_err(|error| Failure::Connection(chain(&error)))?;
        let (head, body) = answer.into_parts();
        let body = match Limited::new(body, MAX_ANSWER_BYTES).collect().await {
            Ok(body) => body.to_bytes().into(),
            Err(error) if error.is::<LengthLimitError>() => return Err(Failure::TooLarge),
            Err(error) => return Err(Failure::Connection(chain(error.as_ref()))),
        };
        Ok(Answer {
            status: head.status.as_u16(),
            retry_after: text(&head.headers, &RETRY_AFTER),
            date: text(&head.headers, &DATE),
            location: text(&head.headers, &LOCATION),
            body,
        })
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// An error with its causes, since hyper's own words are as few as `client error (Connect)`.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn setting(setting: &'static str, problem: impl Into<String>) -> PrometheusError {
    PrometheusError::Setting { setting, problem: problem.into() }
}

fn address(url: &str) -> Result<Uri, PrometheusError> {
    let wrong = |problem: String| setting("the address", format!("{url:?} {problem}"));
    let prefix = url.trim_end_matches('/');
    let uri: Uri =
        format!("{prefix}/api/v1/query_range").parse().map_err(|error| wrong(format!("is none: {error}")))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return Err(wrong("must begin with http:// or https:// and a host".into()));
    }
    if uri.query().is_some() || prefix.contains('#') {
        return Err(wrong("must end with its path".into()));
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(setting("the address", "holds a password; give a bearer token instead"));
    }
    Ok(uri)
}

fn authorization(token: &str) -> Result<HeaderValue, PrometheusError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
        .map_err(|_| setting("the bearer token", "has characters that a header can't carry"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn roots(pem: &[u8]) -> Result<RootCertStore, PrometheusError> {
    let wrong = |problem: String| setting("the certificate authorities", problem);
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| wrong(format!("are no PEM: {error}")))?;
        roots.add(certificate).map_err(|error| wrong(format!("hold a bad certificate: {error}")))?;
    }
    if roots.is_empty() && !pem.is_empty() {
        return Err(wrong("hold no certificate".into()));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_prefixes_are_kept() {
        for (url, expected) in [
            ("http://localhost:9090", "http://localhost:9090/api/v1/query_range"),
            ("https://mimir.example/prometheus/", "https://mimir.example/prometheus/api/v1/query_range"),
        ] {
            assert_eq!(address(url).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        for (url, message) in [
            ("localhost:9090", "the address \"localhost:9090\" is none: "),
            ("ftp://a", "the address \"ftp://a\" must begin with http:// or https:// and a host"),
            ("http://a/?b=c", "the address \"http://a/?b=c\" must end with its path"),
            ("http://me:secret@a", "the address holds a password; give a bearer token instead"),
            ("", "the address \"\" "),
        ] {
            let error = address(url).unwrap_err().to_string();
            assert!(error.starts_with(message), "{url}: {error}");
        }
        assert!(authorization("a\nb").is_err());
        assert!(roots(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").is_err());
        assert_eq!(roots(b"nothing").unwrap_err().to_string(), "the certificate authorities hold no certificate");
    }

    #[test]
    fn the_token_is_never_printed() {
        let endpoint = Endpoint { bearer: Some("secret".into()), ..Endpoint::new("http://a") };
        assert!(!format!("{endpoint:?}").contains("secret"));
    }
}
