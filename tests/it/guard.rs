//! Who is let into the studio, and what is refused: asked by hand, without a browser that would be polite.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use super::{
    home::{Home, SMALL},
    served::Studio,
};

/// An answer: its status, and head and body as text.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// Sends bytes as they are and reads until the studio hangs up.
fn send(studio: &Studio, request: &str) -> Answer {
    let mut stream = TcpStream::connect(studio.host()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // It may hang up before everything is sent, which is its right.
    let _ = stream.write_all(request.as_bytes());
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

/// A request with everything that our own pages send, but for what `change` says: `None` takes a header out.
fn ask(studio: &Studio, method: &str, path: &str, body: &str, change: &[(&str, Option<&str>)]) -> Answer {
    let port = studio.host().rsplit(':').next().unwrap();
    let mut headers = vec![
        ("host", studio.host().to_owned()),
        ("cookie", format!("other=1; catgen-{port}={}", studio.token())),
        ("connection", "close".to_owned()),
    ];
    if method == "POST" {
        headers.push(("origin", studio.origin().to_owned()));
        headers.push(("x-catgen-token", studio.token().to_owned()));
        headers.push(("content-type", "application/json".to_owned()));
        headers.push(("content-length", body.len().to_string()));
    }
    for (name, value) in change {
        headers.retain(|(own, _)| own != name);
        headers.extend(value.map(|value| (*name, value.to_owned())));
    }
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    send(studio, &format!("{method} {path} HTTP/1.1\r\n{headers}\r\n{body}"))
}

#[test]
fn only_who_has_the_printed_address_is_let_in() {
    let home = Home::with_cats(SMALL, 1);
    let studio = Studio::open(&home);
    let status = |path: &str, change: &[(&str, Option<&str>)]| ask(&studio, "GET", path, "", change).status;
    assert_eq!(status("/", &[]), 200);
    assert_eq!(status("/", &[("cookie", None)]), 403);
    assert_eq!(status("/", &[("cookie", Some("catgen-1=0123456789abcdef"))]), 403);
    assert_eq!(status("/gallery", &[("cookie", None)]), 403);
    assert_eq!(status("/events", &[("cookie", None)]), 403);
    assert_eq!(status("/?token=0123456789abcdef0123456789abcdef", &[]), 403);
    // Not even what is no page, nor a script, is told to strangers.
    assert_eq!(status("/nowhere", &[("cookie", None)]), 403);
    assert_eq!(status("/review.js", &[("cookie", None)]), 403);
    assert_eq!(status("/nowhere", &[]), 404);

    let first = ask(&studio, "GET", &format!("/?token={}", studio.token()), "", &[("cookie", None)]);
    assert_eq!(first.status, 303, "{}", first.head);
    assert!(first.head.contains("location: /\r\n") && studio.at("/").ends_with(&format!("{}/", studio.host())), "{}", first.head);
    for part in ["set-cookie: catgen-", "; path=/; httponly; samesite=strict"] {
        assert!(first.head.contains(part), "{}", first.head);
    }
    let other = Studio::open(&home);
    assert_ne!(other.token(), studio.token());
    assert!(studio.token().len() == 32 && studio.token().bytes().all(|byte| byte.is_ascii_hexdigit()));
}

#[test]
fn a_foreign_name_for_this_machine_is_refused_with_the_right_cookie_even() {
    let home = Home::with_cats(SMALL, 1);
    let studio = Studio::open(&home);
    let port = studio.host().rsplit(':').next().unwrap().to_owned();
    let local = format!("localhost:{port}");
    assert_eq!(ask(&studio, "GET", "/", "", &[("host", Some(&local))]).status, 200);
    for host in ["evil.example", &format!("evil.example:{port}"), "127.0.0.1", "127.0.0.1:1", &format!("127.0.0.1.evil.example:{port}"), ""]
    {
        let answer = ask(&studio, "GET", "/", "", &[("host", Some(host))]);
        assert_eq!(answer.status, 421, "{host}: {}", answer.head);
    }
    assert!(matches!(ask(&studio, "GET", "/", "", &[("host", None)]).status, 400 | 421));
}

#[test]
fn what_changes_something_must_come_from_our_own_page() {
    let home = Home::with_cats(SMALL, 3);
    home.ok(&["run", "--until", "4.Verified"]);
    let studio = Studio::open(&home);
    let list: serde_json::Value = serde_json::from_str(&ask(&studio, "GET", "/review.json", "", &[]).body).unwrap();
    let digest = list["items"][0]["digest"].as_str().unwrap();
    let body = format!(r#"{{"stage":"4.Verified","digest":"{digest}","choice":"reject"}}"#);
    let decided = || std::fs::read_to_string(home.path("data/decisions.jsonl")).unwrap_or_default().lines().count();
    let refused = |change: &[(&str, Option<&str>)]| {
        let answer = ask(&studio, "POST", "/decide", &body, change);
        assert!(matches!(answer.status, 403 | 415 | 421), "{change:?}: {}", answer.head);
        assert_eq!(decided(), 0, "{change:?} wrote");
    };
    refused(&[("origin", Some("http://evil.example"))]);
    refused(&[("origin", Some("null"))]);
    refused(&[("origin", Some("http://127.0.0.1:1"))]);
    refused(&[("origin", None)]);
    refused(&[("x-catgen-token", None)]);
    refused(&[("x-catgen-token", Some("0123456789abcdef0123456789abcdef"))]);
    refused(&[("cookie", None)]);
    refused(&[("host", Some("evil.example"))]);
    // What a foreign form could send.
    refused(&[("content-type", Some("text/plain"))]);
    // The token in the address is no key for anything but a first visit.
    let answer = ask(&studio, "POST", &format!("/decide?token={}", studio.token()), &body, &[("x-catgen-token", None), ("cookie", None)]);
    assert_eq!((answer.status, decided()), (403, 0));
    for method in ["GET", "PUT", "DELETE"] {
        assert!(matches!(ask(&studio, method, "/decide", "", &[]).status, 403 | 405), "{method}");
    }

    let answer = ask(&studio, "POST", "/decide", &body, &[]);
    assert_eq!((answer.status, decided()), (200, 1), "{}", answer.body);
    // On the disk when the answer comes, and the same words as the command line's.
    let line: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(home.path("data/decisions.jsonl")).unwrap()).unwrap();
    assert_eq!((&line["digest"], &line["decision"]), (&digest.into(), &"reject".into()));
}

#[test]
fn nonsense_about_duplicates_is_refused_and_nothing_is_written() {
    let home = Home::with_cats(SMALL, 12);
    home.ok(&["run", "--until", "1.No_duplicates"]);
    let studio = Studio::open(&home);
    let group = home.lines(&["duplicates", "list", "--json"]).remove(0);
    let [kept, dropped] = [&group["digest"], &group["dropped"][0]["digest"]].map(|digest| digest.as_str().unwrap().to_owned());
    let unknown = "0".repeat(64);
    let decide = |body: String| ask(&studio, "POST", "/duplicates/decide", &body, &[]);
    let file = home.path("data/duplicates.jsonl");
    for body in [
        format!(r#"{{"stage":"1.No_duplicates","digest":"{unknown}","choice":"keep"}}"#),
        format!(r#"{{"stage":"1.No_duplicates","digest":"{kept}","other":"{unknown}","choice":"different"}}"#),
        format!(r#"{{"stage":"1.No_duplicates","digest":"{kept}","choice":"different"}}"#),
        format!(r#"{{"stage":"1.No_duplicates","digest":"{kept}","other":"{kept}","choice":"different"}}"#),
        format!(r#"{{"stage":"1.No_duplicates","digest":"{kept}","other":"{dropped}","choice":"keep"}}"#),
        format!(r#"{{"stage":"4.Verified","digest":"{kept}","choice":"keep"}}"#),
        format!(r#"{{"stage":"../..","digest":"{kept}","choice":"keep"}}"#),
        r#"{"stage":"1.No_duplicates","digest":"12","choice":"keep"}"#.to_owned(),
        "no JSON".to_owned(),
    ] {
        let answer = decide(body.clone());
        assert!(matches!(answer.status, 400 | 422) && !file.exists(), "{body}: {}", answer.head);
    }
    let answer = decide(format!(r#"{{"stage":"1.No_duplicates","digest":"{dropped}","choice":"keep"}}"#));
    assert!(answer.status == 200 && file.exists(), "{}", answer.body);
    // A word of a command line is no stage.
    let answer = ask(&studio, "POST", "/run", r#"{"until":"--help"}"#, &[]);
    assert!(answer.status == 400 && answer.body.contains("no stage"), "{}: {}", answer.head, answer.body);
}

#[test]
fn no_path_leads_to_a_file() {
    let home = Home::with_cats(SMALL, 2);
    home.ok(&["run", "--until", "4.Verified"]);
    let studio = Studio::open(&home);
    let list: serde_json::Value = serde_json::from_str(&ask(&studio, "GET", "/review.json", "", &[]).body).unwrap();
    let digest = list["items"][0]["digest"].as_str().unwrap();
    let thumb = |path: &str| ask(&studio, "GET", path, "", &[]);
    assert_eq!(thumb(&format!("/thumb/{digest}?stage=3.Zoom_photos")).status, 200);
    let long = "a".repeat(20_000);
    for path in [
        "/thumb/../../pipeline.toml?stage=3.Zoom_photos",
        "/thumb/..%2f..%2fpipeline.toml?stage=3.Zoom_photos",
        "/thumb/%2e%2e%2f%2e%2e%2fpipeline.toml?stage=3.Zoom_photos",
        "/../pipeline.toml",
        "/..%2fpipeline.toml",
        "//etc/passwd",
        "/data/decisions.jsonl",
        &format!("/thumb/{}?stage=3.Zoom_photos", &digest[..63]),
        &format!("/thumb/{digest}0?stage=3.Zoom_photos"),
        &format!("/thumb/{long}?stage=3.Zoom_photos"),
        &format!("/thumb/{}?stage=..%2f..%2f", "1".repeat(64)),
        &format!("/thumb/{}?stage=3.Zoom_photos", "0".repeat(64)),
        &format!("/thumb/{digest}?stage=3.Zoom_photos&side=99999999999999999999"),
        &format!("/picture?stage={long}&name={long}{long}{long}{long}"),
    ] {
        let answer = thumb(path);
        let what = &path[..path.len().min(80)];
        assert!((400..=431).contains(&answer.status) || !answer.body.contains("[[stage]]"), "{what}: {}", answer.head);
        assert!(!answer.body.contains("[[stage]]") && !answer.body.contains("root:"), "{what}");
        if path.starts_with("/thumb") {
            assert!((400..=431).contains(&answer.status), "{what}: {}", answer.head);
        }
    }
    // A size that nobody offers is the nearest that is: no request makes a picture of any size.
    let large = thumb(&format!("/thumb/{digest}?stage=3.Zoom_photos&side=4000000000"));
    assert_eq!(large.status, 200);
    assert!(large.head.contains("content-type: image/png") && large.head.contains("immutable"), "{}", large.head);
}

#[test]
fn too_much_is_refused_and_every_answer_keeps_the_page_harmless() {
    let home = Home::with_cats(SMALL, 1);
    let studio = Studio::open(&home);
    let long = format!(r#"{{"stage":"{}","digest":"","choice":"reject"}}"#, "a".repeat(100_000));
    let answer = ask(&studio, "POST", "/decide", &long, &[]);
    assert_eq!(answer.status, 413, "{}", answer.head);
    for (method, path) in [("GET", "/"), ("GET", "/nowhere"), ("GET", "/studio.css"), ("POST", "/decide")] {
        let answer = ask(&studio, method, path, "{}", &[]);
        for part in [
            "content-security-policy: default-src 'none'; script-src 'self'",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
        ] {
            assert!(answer.head.contains(part), "{path}: no {part} in\n{}", answer.head);
        }
    }
    // The cookie cannot be read by a script, so a page that could be talked into something still has no way to hand it on.
    assert!(!ask(&studio, "GET", "/", "", &[]).body.contains("<script>"));
}

#[test]
fn a_port_that_is_taken_is_said_and_a_wider_address_is_warned_about() {
    let home = Home::with_cats(SMALL, 1);
    let studio = Studio::open(&home);
    let port = studio.host().rsplit(':').next().unwrap();
    let said = home.fails(&["studio", "--port", port]);
    assert!(said.starts_with("exit 2\nerror: cannot listen on 127.0.0.1:") && said.contains("--port 0"), "{said}");

    let mut wide = std::process::Command::new(env!("CARGO_BIN_EXE_catgen-pipe"))
        .current_dir(home.folder.path())
        .args(["studio", "--listen", "0.0.0.0", "--port", "0"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(wide.stdout.take().unwrap()), &mut url).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_child(&wide), rustix::process::Signal::INT).unwrap();
    let words = String::from_utf8(wide.wait_with_output().unwrap().stderr).unwrap();
    assert!(words.contains("anybody who gets that address can see your photos"), "{words}");
    assert!(url.contains("?token="), "{url}");
}
