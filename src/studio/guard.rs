//! `Guard`: who may ask the studio, and what its pages may do.
//!
//! Any page in the same browser can send requests to a local port, and a foreign name can be made to point at 127.0.0.1. So:
//!
//! * the secret of this start must be known: it is in the printed address and goes into a cookie on the first visit;
//! * the `Host` must be one of the names that this studio listens under, which defeats re-bound names;
//! * what changes anything must be a POST with the secret in a header of its own, which no foreign form can set, and with our own `Origin`;
//! * a page may load scripts, styles and pictures from here and from nowhere else, and may not be framed.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use catgen_api::Digest;

use super::page;
use crate::{Error, error::Result};

/// The header that carries the secret of a request that changes something.
const TOKEN_HEADER: &str = "x-catgen-token";

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

pub(super) struct Guard {
    token: String,
    /// The names under which it may be asked, each with the port.
    hosts: Vec<String>,
    cookie: String,
}

impl Guard {
    pub(super) fn new(address: SocketAddr) -> Result<Self> {
        let port = address.port();
        let mut hosts = vec![address.to_string()];
        if address.ip().is_loopback() || address.ip().is_unspecified() {
            hosts.extend([format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")]);
        }
        if address.ip().is_unspecified() {
            // Asked from another machine, it goes by a name or number that only that machine knows; the secret still protects it.
            hosts.push(String::new());
        }
        // Cookies do not know ports: two studios on one machine must not take each other's.
        Ok(Self { token: secret()?, hosts, cookie: format!("catgen-{port}") })
    }

    pub(super) fn url(&self) -> String {
        let host = if self.hosts.last().is_some_and(String::is_empty) { &self.hosts[1] } else { &self.hosts[0] };
        format!("http://{host}/?token={}", self.token)
    }

    fn is_ours(&self, host: &str) -> bool {
        self.hosts.iter().any(|ours| ours.is_empty() || ours.eq_ignore_ascii_case(host))
    }

    /// Compares digests, so that the time it takes tells nothing about the secret.
    fn is_token(&self, text: &str) -> bool {
        Digest::of(text.as_bytes()) == Digest::of(self.token.as_bytes())
    }

    fn cookie<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        cookies
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == self.cookie)
            .map(|(_, value)| value)
    }
}

/// 16 random bytes of the operating system, in hexadecimal.
///
/// # Errors
/// The operating system has none, which no supported one answers once it is up.
fn secret() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::Usage { what: format!("this machine gives no random numbers: {error}"), hint: String::new() })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Lets a request through or says why not; dresses every answer in the headers that keep a page harmless.
pub(super) async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let answer = match refusal(&guard, &request) {
        Some(refused) => refused,
        None => next.run(request).await,
    };
    dressed(answer)
}

fn refusal(guard: &Guard, request: &Request) -> Option<Response> {
    let headers = request.headers();
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    if !guard.is_ours(host) {
        return Some(page::refused(StatusCode::MISDIRECTED_REQUEST, "This studio does not go by that name."));
    }
    if let Some(token) = query_token(request.uri()).filter(|_| request.method() == Method::GET) {
        if !guard.is_token(&token) {
            return Some(page::refused(StatusCode::FORBIDDEN, "This address is of an earlier start of the studio."));
        }
        // Out of the address bar, and so out of the history and of screenshots.
        let cookie = format!("{}={}; Path=/; HttpOnly; SameSite=Strict", guard.cookie, guard.token);
        let mut answer = Redirect::to(request.uri().path()).into_response();
        answer.headers_mut().insert(header::SET_COOKIE, HeaderValue::from_str(&cookie).expect("a cookie of hexadecimal digits"));
        return Some(answer);
    }
    if !guard.cookie(headers).is_some_and(|token| guard.is_token(token)) {
        return Some(page::refused(
            StatusCode::FORBIDDEN,
            "Open the address that `catgen-pipe studio` printed: it holds the key to this page.",
        ));
    }
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let from_here =
        text(header::ORIGIN).and_then(|origin| origin.strip_prefix("http://")).is_some_and(|origin| origin.eq_ignore_ascii_case(host));
    let with_token = headers.get(TOKEN_HEADER).and_then(|value| value.to_str().ok()).is_some_and(|token| guard.is_token(token));
    (!from_here || !with_token).then(|| page::refused(StatusCode::FORBIDDEN, "That did not come from a page of this studio."))
}

fn query_token(uri: &Uri) -> Option<String> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix("token=")).map(str::to_owned)
}

fn dressed(mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    answer
}

impl Guard {
    /// What the page's own scripts send back with a request that changes something.
    pub(super) fn token(&self) -> &str {
        &self.token
    }
}
