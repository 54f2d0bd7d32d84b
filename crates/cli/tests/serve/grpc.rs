//! The Open Inference Protocol over gRPC, and what HTTP has of it beside inference: versions, statistics, loading and unloading.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::client::{Server, folder, rows};

const SERVICE: &str = "/inference.GRPCInferenceService";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

// Written down a second time, from the protocol's own schema, so that a number that is wrong in the server shows.
#[derive(Clone, PartialEq, Message)]
struct Name {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct Contents {
    #[prost(double, repeated, tag = "7")]
    fp64: Vec<f64>,
    #[prost(float, repeated, tag = "6")]
    fp32: Vec<f32>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    texts: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    datatype: String,
    #[prost(int64, repeated, tag = "3")]
    shape: Vec<i64>,
    #[prost(message, optional, tag = "5")]
    contents: Option<Contents>,
}

#[derive(Clone, PartialEq, Message)]
struct Infer {
    #[prost(string, tag = "1")]
    model: String,
    #[prost(string, tag = "2")]
    version: String,
    #[prost(string, tag = "3")]
    id: String,
    #[prost(message, repeated, tag = "5")]
    tensors: Vec<Tensor>,
    #[prost(message, repeated, tag = "6")]
    wanted: Vec<Tensor>,
    #[prost(bytes = "vec", repeated, tag = "7")]
    raw: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Inferred {
    #[prost(string, tag = "1")]
    model: String,
    #[prost(string, tag = "2")]
    version: String,
    #[prost(string, tag = "3")]
    id: String,
    #[prost(message, repeated, tag = "5")]
    tensors: Vec<Tensor>,
    #[prost(bytes = "vec", repeated, tag = "6")]
    raw: Vec<Vec<u8>>,
}

/// How a call went: gRPC's status, its words, and the message.
struct Called {
    status: u32,
    says: String,
    message: Vec<u8>,
}

impl Called {
    fn ok<M: Message + Default>(self) -> M {
        assert_eq!(self.status, 0, "{}", self.says);
        M::decode(&*self.message).unwrap()
    }
}

/// A call with these headers and these bytes as its body.
fn called(address: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Called {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = TcpStream::connect(address).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut request = hyper::Request::builder().method("POST").uri(format!("http://{address}{path}"));
        for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")].iter().chain(headers) {
            request = request.header(*name, *value);
        }
        let (response, mut send) =
            client.ready().await.unwrap().send_request(request.body(()).unwrap(), false).unwrap();
        send.send_data(Bytes::from(body), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        let mut bytes = Vec::new();
        while let Some(data) = body.data().await {
            let data = data.unwrap();
            body.flow_control().release_capacity(data.len()).unwrap();
            bytes.extend(data);
        }
        let trailers = body.trailers().await.unwrap().unwrap_or_default();
        let text = |name| trailers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        let status = text("grpc-status").parse().unwrap();
        if status == 0 {
            assert_eq!(bytes[1..5], u32::try_from(bytes.len() - 5).unwrap().to_be_bytes());
            bytes.drain(..5);
        }
        Called { status, says: text("grpc-message"), message: bytes }
    })
}

fn call(address: &str, method: &str, message: &impl Message) -> Called {
    let message = message.encode_to_vec();
    let head = [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes()].concat();
    called(address, &format!("{SERVICE}/{method}"), &[], [head, message].concat())
}

/// A server of both, and the address of gRPC.
fn started(args: &[&str]) -> (crate::common::Folder, Server, String) {
    let folder = folder();
    let mut server = Server::begin(&folder, &[args, &["--grpc", "127.0.0.1:0"]].concat());
    let address = server.next_address("grpc");
    server.wait_for("is served");
    (folder, server, address)
}

/// The same rows for HTTP and for gRPC.
fn inputs(count: usize) -> (Value, Infer) {
    let rows = rows(count, 5);
    let number = |name: &str| rows.iter().map(|row| row[name].as_f64().unwrap()).collect::<Vec<_>>();
    let texts: Vec<String> = rows.iter().map(|row| row["city"].as_str().unwrap().to_owned()).collect();
    let json = json!({ "id": "7", "inputs": [
        { "name": "age", "shape": [count], "datatype": "FP64", "data": number("age") },
        { "name": "visits", "shape": [count, 1], "datatype": "FP64", "data": number("visits") },
        { "name": "city", "shape": [count], "datatype": "BYTES", "data": texts },
    ] });
    let rows = i64::try_from(count).unwrap();
    let tensor = |name: &str, datatype: &str, shape: &[i64], contents: Contents| Tensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        contents: Some(contents),
    };
    let of = |name| Contents { fp64: number(name), ..Contents::default() };
    let cities = Contents { texts: texts.into_iter().map(String::into_bytes).collect(), ..Contents::default() };
    let tensors = vec![
        tensor("age", "FP64", &[rows], of("age")),
        tensor("visits", "FP64", &[rows, 1], of("visits")),
        tensor("city", "BYTES", &[rows], cities),
    ];
    (json, Infer { model: "run".to_owned(), id: "7".to_owned(), tensors, ..Infer::default() })
}

/// The same with raw bytes instead of typed contents.
fn raw(mut typed: Infer) -> Infer {
    for tensor in &mut typed.tensors {
        let contents = tensor.contents.take().unwrap();
        let numbers = contents.fp64.iter().flat_map(|value| value.to_le_bytes());
        let text = |text: &Vec<u8>| [u32::try_from(text.len()).unwrap().to_le_bytes().to_vec(), text.clone()].concat();
        typed.raw.push(numbers.chain(contents.texts.iter().flat_map(text)).collect());
    }
    typed
}

#[test]
fn grpc_predicts_what_http_does() {
    let (_folder, server, address) = started(&["run/model"]);
    let (json, typed) = inputs(300);
    let over_http = server.post("/v2/models/run/infer", &json.to_string()).ok().json();
    let version = over_http["model_version"].as_str().unwrap();
    let by_type: Inferred = call(&address, "ModelInfer", &typed).ok();
    let by_bytes: Inferred = call(&address, "ModelInfer", &raw(typed.clone())).ok();
    assert_eq!((by_type.model.as_str(), by_type.version.as_str(), by_type.id.as_str()), ("run", version, "7"));
    assert!(by_type.raw.is_empty() && by_bytes.raw.len() == by_type.tensors.len());
    for (at, output) in over_http["outputs"].as_array().unwrap().iter().enumerate() {
        let tensor = &by_type.tensors[at];
        assert_eq!(
            (json!(tensor.name), json!(tensor.datatype), json!(tensor.shape)),
            (output["name"].clone(), output["datatype"].clone(), json!([300]))
        );
        let contents = tensor.contents.as_ref().unwrap();
        let expected = output["data"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap());
        if tensor.datatype == "FP32" {
            assert!(expected.map(|value| value as f32).eq(contents.fp32.iter().copied()), "{}", tensor.name);
            assert_eq!(
                by_bytes.raw[at],
                contents.fp32.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>()
            );
        } else {
            assert!(expected.eq(contents.fp64.iter().copied()), "{}", tensor.name);
            assert_eq!(
                by_bytes.raw[at],
                contents.fp64.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>()
            );
        }
    }
    // One output alone, of a version by its name.
    let wanted = vec![Tensor { name: "score".to_owned(), ..Tensor::default() }];
    let one: Inferred =
        call(&address, "ModelInfer", &Infer { wanted, version: version.to_owned(), ..typed.clone() }).ok();
    assert_eq!(one.tensors, [by_type.tensors.last().unwrap().clone()]);
    let of_version = server.post(&format!("/v2/models/run/versions/{version}/infer"), &json.to_string()).ok().json();
    assert_eq!(of_version, over_http);
}

#[test]
fn calls_that_are_wrong_say_so() {
    let (_folder, _server, address) = started(&["run/model", "--max-candidates", "50", "--max-body", "1"]);
    let (_, good) = inputs(3);
    let with = |change: &dyn Fn(&mut Infer)| {
        let mut infer = good.clone();
        change(&mut infer);
        call(&address, "ModelInfer", &infer)
    };
    let output = |name: &str| Tensor { name: name.to_owned(), ..Tensor::default() };
    let cases: Vec<(Called, u32, &str)> = vec![
        (with(&|infer| infer.model = "ru".to_owned()), 5, "did you mean \"run\"?"),
        (with(&|infer| infer.version = "9".to_owned()), 5, "has no version \"9\""),
        (with(&|infer| infer.tensors.clear()), 3, "there are no rows"),
        (with(&|infer| infer.tensors[0].name = "aged".to_owned()), 3, "did you mean \"age\"?"),
        (with(&|infer| infer.tensors[0].shape = vec![4]), 3, "has 3 values where its shape [4] has 4"),
        (with(&|infer| infer.tensors[0].shape = vec![-3]), 3, "has the shape [-3]"),
        (with(&|infer| infer.tensors[0].datatype = "FP16".to_owned()), 3, "is of type \"FP16\""),
        (with(&|infer| infer.tensors[0].contents = None), 3, "has no values"),
        (with(&|infer| infer.tensors[1] = infer.tensors[0].clone()), 3, "input \"age\" stands twice"),
        (with(&|infer| infer.raw = vec![vec![0; 24]]), 3, "1 raw_input_contents for 3 inputs"),
        (with(&|infer| infer.raw = vec![vec![0; 24]; 3]), 3, "has raw contents and others"),
        (with(&|infer| infer.tensors.resize(5000, Tensor::default())), 3, "the request has 5000 inputs"),
        (with(&|infer| infer.wanted = vec![output("bui")]), 3, "no output \"bui\""),
        (with(&|infer| infer.wanted = vec![output("buy"), output("buy")]), 3, "output \"buy\" stands twice"),
        (call(&address, "ModelInfer", &inputs(51).1), 8, "more than 50 rows"),
        (with(&|infer| infer.id = "x".repeat(2 << 20)), 8, "longer than"),
        (call(&address, "ModelInfr", &good), 12, "did you mean /inference.GRPCInferenceService/ModelInfer?"),
        (
            called(&address, &format!("{SERVICE}/ModelInfer"), &[], vec![0, 0, 0, 0, 9, 1]),
            3,
            "a message of 9 bytes has 1",
        ),
        (called(&address, &format!("{SERVICE}/ModelInfer"), &[], vec![0, 0, 0, 0, 1, 255]), 3, "cut off"),
        (called(&address, &format!("{SERVICE}/ServerLive"), &[], vec![1, 0, 0, 0, 0]), 12, "compressed"),
        (
            called(&address, &format!("{SERVICE}/ServerLive"), &[("grpc-timeout", "soon")], vec![0; 5]),
            3,
            "grpc-timeout",
        ),
        (
            called(&address, &format!("{SERVICE}/ModelInfer"), &[("grpc-timeout", "1n")], {
                let message = good.encode_to_vec();
                [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), &message].concat()
            }),
            4,
            "time was over",
        ),
    ];
    for (called, status, says) in cases {
        assert!(
            called.status == status && called.says.contains(says),
            "{} {} for {status} {says}",
            called.status,
            called.says
        );
    }
    call(&address, "ModelInfer", &good).ok::<Inferred>();
}

#[test]
fn a_model_is_unloaded_and_loaded() {
    let (folder, mut server, address) = started(&["run/model", "other=run/model", "--watch", "0.05"]);
    let body = json!({ "rows": rows(2, 5) }).to_string();
    let ready = || call(&address, "ModelReady", &Name { name: "run".to_owned(), ..Name::default() }).message;
    let index = |body: &str| -> Vec<(Value, Value)> {
        let index = server.post("/v2/repository/index", body).ok().json();
        index.as_array().unwrap().iter().map(|model| (model["name"].clone(), model["state"].clone())).collect()
    };
    assert_eq!(ready(), [8, 1]);
    server.post("/v1/rank", &body).ok();
    server.post("/v2/repository/models/run/unload", "").ok();
    for answer in [server.post("/v1/rank", &body), server.get("/v2/models/run"), server.get("/v2/models/run/ready")] {
        assert!(answer.status == 404 && answer.body.contains("was unloaded"), "{answer:?}");
    }
    assert_eq!(ready(), [0u8; 0]);
    server.get("/v1/health/ready").ok();
    server.post("/v1/models/other/rank", &body).ok();
    assert_eq!(index("{}"), [(json!("run"), json!("UNAVAILABLE")), (json!("other"), json!("READY"))]);
    assert_eq!(index(r#"{"ready": true}"#), [(json!("other"), json!("READY"))]);
    assert_eq!(server.post("/v2/repository/index", "x").status, 400);
    // What changes at its path does not load it.
    std::fs::File::open(folder.join("run/model/model.json"))
        .unwrap()
        .set_modified(std::time::SystemTime::now())
        .unwrap();
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(server.post("/v1/rank", &body).status, 404);
    assert!(server.get("/metrics").body.contains("pleiad_model_changes_total{model=\"run\",result=\"unloaded\"} 1\n"));
    #[derive(Clone, PartialEq, Message)]
    struct Load {
        #[prost(string, tag = "2")]
        model: String,
    }
    let load = Load { model: "run".to_owned() };
    call(&address, "RepositoryModelLoad", &load).ok::<Name>();
    server.post("/v1/rank", &body).ok();
    call(&address, "RepositoryModelUnload", &load).ok::<Name>();
    assert_eq!(server.post("/v1/rank", &body).status, 404);
    server.signal("TERM");
    assert_eq!(server.wait(Duration::from_secs(20)), Some(0));
}

#[test]
fn statistics_count_rows_and_requests_of_a_version() {
    let (_folder, server, address) = started(&["run/model"]);
    let (json, typed) = inputs(30);
    server.post("/v2/models/run/infer", &json.to_string()).ok();
    server.post("/v1/rank", &json!({ "rows": rows(10, 5) }).to_string()).ok();
    call(&address, "ModelInfer", &typed).ok::<Inferred>();
    call(&address, "ModelInfer", &Infer { model: "run".to_owned(), ..Infer::default() });
    let all = server.get("/v2/models/stats").ok().json();
    let of = &all["model_stats"][0];
    assert_eq!((&of["name"], &of["inference_count"], &of["execution_count"]), (&json!("run"), &json!(70), &json!(3)));
    let parts = &of["inference_stats"];
    assert_eq!((&parts["success"]["count"], &parts["fail"]["count"]), (&json!(3), &json!(1)));
    let nanos = |part: &str| parts[part]["ns"].as_u64().unwrap();
    let sum: u64 = ["queue", "compute_input", "compute_infer", "compute_output"].iter().map(|part| nanos(part)).sum();
    assert!(nanos("compute_infer") > 0 && sum <= nanos("success"), "{parts}");
    let version = of["version"].as_str().unwrap();
    for path in ["/v2/models/run/stats".to_owned(), format!("/v2/models/run/versions/{version}/stats")] {
        assert_eq!(server.get(&path).ok().json(), all);
    }
    assert_eq!(server.get("/v2/models/run/versions/1/stats").status, 404);
    assert_eq!(
        server.get(&format!("/v2/models/run/versions/{version}")).ok().json(),
        server.get("/v2/models/run").json()
    );
    server.get(&format!("/v2/models/run/versions/{version}/ready")).ok();
}

#[test]
fn grpc_wants_tokens_and_is_asked_whether_it_lives() {
    let folder = folder();
    folder.write("tokens", format!("app={TOKEN}\n"));
    let mut server = Server::begin(&folder, &["run/model", "--grpc", "127.0.0.1:0", "--token-file", "tokens"]);
    let address = server.next_address("grpc");
    server.wait_for("is served");
    let health = |path: &str, headers: &[(&str, &str)]| {
        let called = called(&address, path, headers, vec![0; 5]);
        (called.status, called.message)
    };
    assert_eq!(health("/grpc.health.v1.Health/Check", &[]), (0, vec![8, 1]));
    assert_eq!(health(&format!("{SERVICE}/ServerLive"), &[]), (0, vec![8, 1]));
    assert_eq!(health(&format!("{SERVICE}/ServerReady"), &[]), (0, vec![8, 1]));
    assert_eq!(health(&format!("{SERVICE}/ServerMetadata"), &[]).0, 16);
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(health(&format!("{SERVICE}/ServerMetadata"), &[("authorization", &bearer)]).0, 0);
    server.signal("TERM");
    assert_eq!(server.wait(Duration::from_secs(20)), Some(0));
}
