//! TLS and tokens: who is answered, and how a server that would be open by mistake is refused.

use std::fs;
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;

use crate::client::{Client, Response, Server, folder, request, rows};
use crate::common::Folder;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "c29tZSBvdGhlciB0b2tlbg==";

/// Writes a certificate of `localhost` and its key, and gives the certificate.
fn certificate(folder: &Folder) -> CertificateDer<'static> {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    folder.write("server.pem", own.cert.pem());
    folder.write("server.key", own.signing_key.serialize_pem());
    own.cert.der().clone()
}

/// A client of TLS that trusts one certificate.
fn over_tls(
    address: &str,
    trusted: CertificateDer<'static>,
) -> std::io::Result<Client<StreamOwned<ClientConnection, TcpStream>>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let mut connection = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(Client { stream: BufReader::new(StreamOwned::new(connection, stream)) })
}

#[test]
fn a_server_with_a_certificate_answers_over_tls() {
    let folder = folder();
    let trusted = certificate(&folder);
    let mut server = Server::begin(&folder, &["run/model", "--tls-cert", "server.pem", "--tls-key", "server.key"]);
    assert_eq!(server.scheme, "https");
    server.wait_for("is served");
    let mut client = over_tls(&server.address, trusted.clone()).unwrap();
    let body = json!({ "rows": rows(1000, 5) }).to_string();
    let answer = client.ask("POST", "/v1/rank", &body).ok().json();
    assert_eq!(answer["ranked"].as_array().unwrap().len(), 1000);
    // The same connection again, and what a server without TLS answers.
    let again = client.ask("POST", "/v1/rank", &body).ok().json();
    let plain = Server::start(&folder, &["run/model"]);
    assert_eq!((&answer, &answer), (&again, &plain.post("/v1/rank", &body).ok().json()));
    // A client of HTTP, one that trusts another certificate, and one that says nothing.
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.write_all(b"GET /v1/health/live HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    assert!(!all.starts_with(b"HTTP"), "{all:?}");
    let stranger = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap().cert.der().clone();
    assert!(over_tls(&server.address, stranger).is_err());
    let metrics = over_tls(&server.address, trusted).unwrap().ask("GET", "/metrics", "").ok().body;
    assert!(metrics.contains("pleiad_tls_failures_total 2\n"), "{metrics}");
    server.signal("TERM");
    assert_eq!(server.wait(Duration::from_secs(20)), Some(0));
}

#[test]
fn a_handshake_ends_in_time() {
    let folder = folder();
    certificate(&folder);
    let args = ["run/model", "--tls-cert", "server.pem", "--tls-key", "server.key", "--patience", "0.3"];
    let server = Server::begin(&folder, &args);
    let mut silent = TcpStream::connect(&server.address).unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // The beginning of a handshake: a record of 512 bytes of which none comes.
    silent.write_all(&[22, 3, 1, 2, 0]).unwrap();
    assert!(matches!(silent.read(&mut [0; 64]), Ok(0) | Err(_)));
}

#[test]
fn only_who_has_a_token_is_answered() {
    let folder = folder();
    folder.write("tokens", format!("# of the app\napp={TOKEN}\n\n{OTHER}\n"));
    let server = Server::start(&folder, &["run/model", "--token-file", "tokens"]);
    let ask = |method: &str, path: &str, headers: &str, body: &str| -> Response {
        let mut client = server.connect();
        client.send(request(method, path, headers, body));
        client.answer().unwrap()
    };
    let with = |token: &str| format!("authorization: Bearer {token}\r\n");
    let body = json!({ "rows": rows(3, 5) }).to_string();
    for token in [TOKEN, OTHER] {
        assert_eq!(ask("POST", "/v1/rank", &with(token), &body).ok().json()["candidates"], 3);
        assert_eq!(ask("GET", "/v2", &with(token), "").ok().json()["name"], "pleiad");
    }
    for path in ["/v1/health/live", "/v1/health/ready", "/v2/health/live", "/v2/health/ready"] {
        ask("GET", path, "", "").ok();
    }
    let long = format!("{{\"rows\": [{}", " ".repeat(4 << 20));
    for (path, body) in
        [("/v1/rank", body.as_str()), ("/v1/rank", &long), ("/v1/models/run/reload", ""), ("/v1/nothing", "")]
    {
        let none = ask("POST", path, "", body);
        assert_eq!((none.status, &none.json()["error"]["code"]), (401, &json!("no_token")), "{path}");
        assert_eq!(none.header("www-authenticate"), Some("Bearer realm=\"pleiad\""));
        let wrong = ask("POST", path, &with("0123456789abcdef0123456789abcdeF"), body);
        assert_eq!((wrong.status, &wrong.json()["error"]["code"]), (401, &json!("wrong_token")), "{path}");
        assert_eq!(wrong.header("www-authenticate"), Some("Bearer realm=\"pleiad\", error=\"invalid_token\""));
    }
    for path in ["/metrics", "/v1/models", "/v1/openapi.json", "/"] {
        assert_eq!(ask("GET", path, "", "").status, 401, "{path}");
        ask("GET", path, &with(TOKEN), "").ok();
    }
    // The page asks for a token itself, and has nothing of a model.
    let page = ask("GET", "/", "accept: text/html\r\n", "").ok();
    assert!(page.body.starts_with("<!doctype html>") && !page.body.contains("\"version\""), "{page:?}");
    assert!(ask("GET", "/v2", "", "").json()["error"].as_str().unwrap().contains("--token-file"));
    let metrics = ask("GET", "/metrics", &with(TOKEN), "").body;
    assert!(metrics.contains("pleiad_requests_total{route=\"rank\",status=\"401\"} 4\n"), "{metrics}");
    assert!(!server.said().iter().any(|line| line.contains(TOKEN)));
}

#[test]
fn access_that_cannot_be_meant_is_refused() {
    let folder = folder();
    certificate(&folder);
    fs::create_dir(folder.join("empty")).unwrap();
    folder.write("short", "app=secret\n");
    folder.write("none", "# nothing\n");
    folder.write("twice", format!("{TOKEN}\nb={TOKEN}\n"));
    let stranger = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    folder.write("other.key", stranger.signing_key.serialize_pem());
    let anywhere = "0.0.0.0:0";
    for (args, says) in [
        (&["--http", anywhere][..], "give --token-file FILE"),
        (&["--http", anywhere, "--tls-cert", "server.pem", "--tls-key", "server.key"], "--no-token"),
        (&["--token-file", "short"], "short, line 1: a token of 6 characters can be guessed"),
        (&["--token-file", "none"], "none: it holds no token"),
        (&["--token-file", "twice"], "twice, line 2: the token stands twice"),
        (&["--token-file", "absent"], "absent: No such file"),
        (&["--token-file", "empty"], "empty: Is a directory"),
        (&["--token-file", "short", "--no-token"], "cannot be used with"),
        (&["--tls-cert", "server.pem"], "--tls-key"),
        (&["--tls-cert", "none", "--tls-key", "server.key"], "none: it holds no certificate"),
        (&["--tls-cert", "server.pem", "--tls-key", "none"], "none: it holds no private key in PEM"),
        (
            &["--tls-cert", "server.pem", "--tls-key", "other.key"],
            "other.key: the key and the certificates of server.pem",
        ),
    ] {
        let ran = folder.run(&[&["serve", "run/model"], args].concat());
        assert!(ran.code == Some(2) && ran.stderr.contains(says), "{args:?}: {:?} {}", ran.code, ran.stderr);
    }
    // With a token or on purpose it answers other machines; tokens in readable form are warned of.
    folder.write("tokens", format!("app={TOKEN}\n"));
    let server = Server::begin(&folder, &["run/model", "--http", anywhere, "--token-file", "tokens"]);
    server.wait_for("in readable form");
    let server = Server::begin(&folder, &["run/model", "--http", anywhere, "--no-token"]);
    server.wait_for("is served");
}
