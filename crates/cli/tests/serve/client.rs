//! The server as a child, and a client that sends bytes as they are.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::{CONFIG, Folder, log};

/// A folder with the model `run/model` and its score.
pub(crate) fn folder() -> Folder {
    let folder = Folder::with_log();
    let rank = "\n[rank]\nscore = { buy = 1.0, spend = 0.5 }\nfloor = { spend = 0.001 }\n\
                transform = { column = \"visits\", kind = \"log1p\", power = 0.3 }\n";
    folder.write("config.toml", CONFIG.replace("epochs = 3", "epochs = 1") + rank);
    folder.ok(&["train", "config.toml", "--out", "run"]);
    folder
}

/// Rows of the log without their labels, as JSON.
pub(crate) fn rows(count: usize, seed: u64) -> Vec<Value> {
    let text = log(count, seed);
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let number = |cell: &str| cell.parse::<f64>().unwrap();
        serde_json::json!({ "age": number(cells[0]), "visits": number(cells[1]), "city": cells[2] })
    };
    text.lines().skip(1).map(row).collect()
}

/// A server, which is killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) scheme: String,
    pub(crate) address: String,
    /// Lines of standard error.
    messages: Receiver<String>,
}

impl Server {
    /// Starts one on a free port and waits until it is ready.
    pub(crate) fn start(folder: &Folder, args: &[&str]) -> Self {
        let server = Self::begin(folder, args);
        let begin = Instant::now();
        while server.get("/v1/health/ready").status != 200 {
            assert!(begin.elapsed() < Duration::from_secs(60), "it is not ready");
            std::thread::sleep(Duration::from_millis(5));
        }
        server
    }

    /// Starts one on a free port, if the arguments name no address.
    pub(crate) fn begin(folder: &Folder, args: &[&str]) -> Self {
        let mut command = folder.command(&["serve"]);
        if !args.contains(&"--http") {
            command.args(["--http", "127.0.0.1:0"]);
        }
        command.args(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let (scheme, address) = listening(&mut stdout);
        let (send, messages) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Self { child, stdout, scheme, address, messages }
    }

    /// The next address that it listens on, of this scheme.
    pub(crate) fn next_address(&mut self, scheme: &str) -> String {
        let (found, address) = listening(&mut self.stdout);
        assert_eq!(found, scheme);
        address
    }

    pub(crate) fn connect(&self) -> Client {
        Client::new(&self.address)
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.connect().ask("GET", path, "")
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Response {
        self.connect().ask("POST", path, body)
    }

    /// Sends a body to `/v1/rank`.
    pub(crate) fn rank(&self, body: &Value) -> Response {
        self.post("/v1/rank", &body.to_string())
    }

    pub(crate) fn signal(&self, name: &str) {
        let arguments = [format!("-{name}"), self.child.id().to_string()];
        assert!(std::process::Command::new("kill").args(arguments).status().unwrap().success());
    }

    /// Files that it writes may have so many bytes, or any number again: a full disk, and one with room.
    #[allow(dead_code, reason = "for the tests of the log alone")]
    #[cfg(target_os = "linux")]
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};

        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        assert!(pid.is_some(), "the server's id");
        prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
    }

    /// Waits for the end, and gives the exit code.
    pub(crate) fn wait(&mut self, most: Duration) -> Option<i32> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begin.elapsed() < most, "it does not end: {:?}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What it said on standard error since it was asked last.
    pub(crate) fn said(&self) -> Vec<String> {
        self.messages.try_iter().collect()
    }

    /// Waits until it says something with these words.
    pub(crate) fn wait_for(&self, words: &str) -> String {
        loop {
            let line = self.messages.recv_timeout(Duration::from_secs(30));
            let line = line.unwrap_or_else(|error| panic!("it does not say {words:?}: {error}"));
            if line.contains(words) {
                return line;
            }
        }
    }
}

/// What a line says: scheme and address.
fn listening(stdout: &mut impl BufRead) -> (String, String) {
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let (scheme, address) = line.trim().strip_prefix("listening on ").unwrap().split_once("://").unwrap();
    (scheme.to_owned(), address.to_owned())
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection.
pub(crate) struct Client<S = TcpStream> {
    pub(crate) stream: BufReader<S>,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names in small letters.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) bytes: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The same, which must be an answer and no refusal.
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{self:?}");
        self
    }
}

impl Client {
    pub(crate) fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    pub(crate) fn ask(&mut self, method: &str, path: &str, body: &str) -> Response {
        self.send(request(method, path, "", body));
        self.answer().unwrap()
    }

    /// The next answer; `None` where the server closed the connection instead.
    pub(crate) fn answer(&mut self) -> Option<Response> {
        let mut line = String::new();
        // A connection that is reset is closed, too.
        if self.stream.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        let mut answer = Response { status, headers, body: String::new(), bytes: Vec::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; if status == 100 { 0 } else { length }];
        self.stream.read_exact(&mut body).unwrap();
        answer.body = String::from_utf8_lossy(&body).into_owned();
        answer.bytes = body;
        Some(answer)
    }
}

/// The bytes of a request.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}
