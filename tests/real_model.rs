//! A real model behind the gateway: the example that classifies pictures, in every way that it can be run, and its twin
//! in Python. It must not know how either of them computes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use std::path::PathBuf;
use std::process::Command;

use common::{Answer, Folder, Gateway, backs, peer, repository};
use serde_json::Value;

/// The ways to run the program, and the first part of their paths.
const WAYS: [&str; 3] = ["cgi", "fastcgi", "scgi"];

/// The photographs, what the network sees in them, and how sure it is.
const PHOTOGRAPHS: [(&str, &str, &str, f64); 5] = [
    ("chelsea.png", "image/png", "Egyptian cat", 0.72),
    ("coffee.png", "image/png", "espresso", 0.99),
    ("camera.png", "image/png", "tripod", 0.98),
    ("astronaut.png", "image/png", "bobsled", 0.19),
    ("rocket.jpg", "image/jpeg", "drilling platform", 0.34),
];

/// Sums are made in another order on another processor.
const ROUNDING: f64 = 0.01;
/// Python's library rounds the pixels of a scaled picture twice, ours once.
const SCALING: f64 = 0.02;

/// What `examples/model/prepare` makes.
fn prepared() -> PathBuf {
    let folder = repository().join("target/model");
    assert!(folder.join("mobilenet_v2.onnx").is_file(), "run examples/model/prepare first; tests/run does");
    folder
}

fn photograph(name: &str) -> Vec<u8> {
    std::fs::read(prepared().join("photos").join(name)).unwrap()
}

/// A gateway that runs the program in every way.
fn gateway() -> Gateway {
    let program = peer::workspace_program("gatebridge-example-model", "model");
    let env = format!("env = {{ MODEL_FOLDER = \"{}\" }}\n", prepared().display());
    let mut config = format!("[[route]]\npath = \"/cgi\"\ncgi = \"{program}\"\n{env}");
    // A busy machine may take longer than the usual limits to load the network.
    let patient = backs::patient("", true);
    for way in ["fastcgi", "scgi"] {
        config += &format!(
            "[pool.{way}]\nspeak = \"{way}\"\ncommand = [\"{program}\"]\nworkers = 1\n{env}{patient}\n\
             [[route]]\npath = \"/{way}\"\npool = \"{way}\"\n"
        );
    }
    Gateway::new(&config)
}

fn post(gateway: &Gateway, way: &str, content_type: &str, body: &[u8]) -> Answer {
    gateway.ask("POST", &format!("/{way}"), &[("Content-Type", content_type)], body)
}

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}

/// The answer without what tells of the process: that part must be the same, byte for byte.
fn essence(answer: &Answer) -> String {
    let text = answer.text();
    let at = text.find(",\"process\":").unwrap_or_else(|| panic!("no process in {text}"));
    text[..at].to_owned()
}

#[test]
fn photographs_are_classified_the_same_in_every_way() {
    let gateway = gateway();
    for (number, (name, content_type, class, probability)) in PHOTOGRAPHS.into_iter().enumerate() {
        let picture = photograph(name);
        let answers = WAYS.map(|way| post(&gateway, way, content_type, &picture).expect(200));
        let first = &json(&answers[0])["classes"][0];
        assert_eq!(first["name"], class, "{name}");
        let told = first["probability"].as_f64().unwrap();
        assert!((told - probability).abs() < ROUNDING, "{name}: {class} with {told}");
        for (way, answer) in WAYS.iter().zip(&answers) {
            assert_eq!(essence(answer), essence(&answers[0]), "{name} by {way}");
            let process = &json(answer)["process"];
            let is_cgi = *way == "cgi";
            // A script is new each time. A worker has loaded before its first request, and counts on.
            let expected = if is_cgi { (true, false, 1) } else { (false, true, number as u64 + 1) };
            let found = (&process["cgi"], &process["ready"], process["request"].as_u64());
            assert_eq!(found, (&expected.0.into(), &expected.1.into(), Some(expected.2)), "{name} by {way}");
            for time in ["load_ms", "decode_ms", "run_ms", "classify_ms"] {
                assert!(process[time].as_f64().unwrap() > 0.0, "{way}: {time} in {process}");
            }
        }
    }
}

#[test]
fn python_sees_the_same() {
    let launcher = prepared().join("model.py").display().to_string();
    let config = format!(
        "[[route]]\npath = \"/cgi\"\ncgi = \"{launcher}\"\n\
         [pool.python]\nspeak = \"fastcgi\"\ncommand = [\"{launcher}\"]\nworkers = 1\nstart_timeout = \"1m\"\n\
         [[route]]\npath = \"/fastcgi\"\npool = \"python\"\n"
    );
    let (python, rust) = (Gateway::new(&config), gateway());
    for way in ["cgi", "fastcgi"] {
        for (name, content_type, class, _) in PHOTOGRAPHS {
            let picture = photograph(name);
            let [theirs, ours] =
                [&python, &rust].map(|gateway| json(&post(gateway, way, content_type, &picture).expect(200)));
            assert_eq!(
                (&theirs["classes"][0]["name"], &theirs["picture"]),
                (&class.into(), &ours["picture"])
            );
            let [their, our] =
                [&theirs, &ours].map(|told| told["classes"][0]["probability"].as_f64().unwrap());
            assert!((their - our).abs() < SCALING, "{name} by {way}: {their} in Python, {our} in Rust");
            let ready = way == "fastcgi";
            assert_eq!(
                (&theirs["process"]["cgi"], &theirs["process"]["ready"]),
                (&(!ready).into(), &ready.into())
            );
        }
        let refused = post(&python, way, "image/png", b"no picture").expect(400);
        assert_eq!(json(&refused)["error"], "this is neither a JPEG nor a PNG");
        post(&python, way, "text/plain", b"no picture").expect(415);
        assert_eq!(python.get(&format!("/{way}")).expect(405).field("allow"), Some("POST"));
    }
}

/// The head of a PNG of this size: the signature, and IHDR with the checksum that belongs to it.
fn png_head(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(width.to_be_bytes().into_iter().chain(height.to_be_bytes()));
    chunk.extend([8, 2, 0, 0, 0]);
    // PNG, annex D: CRC-32 with the polynomial of ISO 3309.
    let mut sum = u32::MAX;
    for byte in &chunk {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xEDB8_8320 } else { sum >> 1 };
        }
    }
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    png.extend(chunk);
    png.extend((!sum).to_be_bytes());
    // The beginning of a chunk of pixels that does not come.
    png.extend(b"\0\0\0\x0aIDAT\x78\x9c");
    png
}

#[test]
fn bad_pictures_are_refused_with_a_reason() {
    let gateway = gateway();
    let half = photograph("chelsea.png")[..100_000].to_vec();
    let long = vec![0; 10 * 1024 * 1024 + 1];
    let form = |body: &str| body.replace('\n', "\r\n").into_bytes();
    let multipart = "multipart/form-data; boundary=xyz";
    let cases: [(&str, Vec<u8>, u16, &str); 14] = [
        (
            "image/png",
            b"<html>no picture".to_vec(),
            400,
            "neither a JPEG nor a PNG: it begins with \"<html>no pic\"",
        ),
        ("image/jpeg", b"GIF89a".to_vec(), 400, "neither a JPEG nor a PNG: it begins with \"GIF89a\""),
        ("image/png", Vec::new(), 400, "no picture came: choose a file first"),
        ("image/png", half, 400, "the picture cannot be read: "),
        ("image/jpeg", b"\xff\xd8\xff\xe0 and no more".to_vec(), 400, "the picture cannot be read: "),
        ("image/png", png_head(50_000, 50_000), 413, "50000 x 50000 pixels; 25 million pixels are the most"),
        ("image/png", png_head(2_100, 100), 400, "2100 x 100 pixels; one side may be 20 times the other"),
        ("image/png", long, 413, "the request has 10485761 bytes; 10 MiB are the most"),
        (
            "text/plain",
            b"a cat".to_vec(),
            415,
            "send a picture as image/jpeg or image/png, or a form with a file; this is \"text/plain\"",
        ),
        ("multipart/form-data", b"a cat".to_vec(), 400, "the form has no boundary"),
        (multipart, b"a cat".to_vec(), 400, "the form has no part"),
        (
            multipart,
            form("--xyz\nContent-Disposition: form-data; filename=a\n\ncat"),
            400,
            "the form is cut short",
        ),
        (multipart, form("--xyz\nno head\n--xyz--\n"), 400, "the form has a part without a head"),
        (
            multipart,
            form("--xyz\nContent-Disposition: form-data; name=a\n\nb\n--xyz--\n"),
            400,
            "the form has no file",
        ),
    ];
    for way in WAYS {
        for (content_type, body, status, reason) in &cases {
            let answer = post(&gateway, way, content_type, body).expect(*status);
            let told = json(&answer)["error"].as_str().unwrap().to_owned();
            assert!(told.contains(reason), "{way}: {told:?}, not {reason:?}");
            assert_eq!(answer.field("accept").is_some(), *status == 415);
        }
        assert_eq!(
            gateway.ask("PUT", &format!("/{way}"), &[], b"").expect(405).field("allow"),
            Some("GET, HEAD, POST")
        );
    }
}

#[test]
fn the_page_takes_a_form_and_shows_what_was_found() {
    let gateway = gateway();
    let mut form = b"--xyz\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nmy cat\r\n--xyz\r\n\
        Content-Disposition: form-data; name=\"picture\"; filename=\"cat.png\"\r\nContent-Type: image/png\r\n\r\n"
        .to_vec();
    form.extend(photograph("chelsea.png"));
    form.extend(b"\r\n--xyz--\r\n");
    let content_type = ("Content-Type", "multipart/form-data; boundary=\"xyz\"");
    for (way, whose) in
        [("cgi", "a <b>CGI script</b>"), ("fastcgi", "a <b>worker</b>"), ("scgi", "a <b>worker</b>")]
    {
        let target = format!("/{way}");
        let page = gateway.get(&target).expect(200);
        assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
        assert!(page.text().contains(whose) && !page.text().contains("<!--"), "{way}: {}", page.text());

        // As browsers ask.
        let accept = ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
        let found = gateway.ask("POST", &target, &[content_type, accept], &form).expect(200).text();
        assert!(found.contains("Egyptian cat") && found.contains("72."), "{way}: {found}");
        assert_eq!(found.contains("load the network <b>"), way == "cgi", "{way}: {found}");
        let refused =
            gateway.ask("POST", &target, &[("Content-Type", "image/png"), accept], b"<b>no").expect(400);
        let refused = refused.text();
        assert!(
            refused.contains("it begins with &quot;&lt;b&gt;no&quot;") && refused.contains(whose),
            "{refused}"
        );

        // As programs ask.
        let answer =
            gateway.ask("POST", &target, &[content_type, ("Accept", "application/json")], &form).expect(200);
        assert_eq!(json(&answer)["classes"][0]["name"], "Egyptian cat");
    }
}

#[test]
fn without_the_network_a_script_shows_its_page_and_tells_the_operator() {
    let folder = Folder::new();
    let program = peer::workspace_program("gatebridge-example-model", "model");
    let empty = folder.path().display();
    let config =
        format!("[[route]]\npath = \"/\"\ncgi = \"{program}\"\nenv = {{ MODEL_FOLDER = \"{empty}\" }}\n");
    let gateway = Gateway::start(&folder, &config);
    // That the page comes proves that nothing is loaded for it.
    gateway.get("/").expect(200);
    gateway.ask("POST", "/", &[("Content-Type", "image/png")], b"no picture").expect(400);
    let answer =
        gateway.ask("POST", "/", &[("Content-Type", "image/png")], &photograph("chelsea.png")).expect(500);
    // Where files lie is for the operator.
    assert_eq!(json(&answer)["error"], "the network cannot be used; the server's log says why");
    gateway.wait_for_line("mobilenet_v2.onnx: No such file or directory");
}

#[test]
fn without_the_network_a_worker_ends_and_says_why() {
    let folder = Folder::new();
    let program = peer::workspace_program("gatebridge-example-model", "model");
    let empty = folder.path().display();
    let config = format!(
        "[pool.model]\nspeak = \"fastcgi\"\ncommand = [\"{program}\"]\nenv = {{ MODEL_FOLDER = \"{empty}\" }}\n\
         [[route]]\npath = \"/\"\npool = \"model\"\n"
    );
    let gateway = Gateway::start(&folder, &config);
    gateway.wait_for_line("examples/model/prepare makes it");
}

#[test]
fn a_file_of_weights_cannot_call_anything() {
    let folder = Folder::new();
    let touched = folder.join("touched");
    // A pickle that calls os.system; any reader but a restricted one would.
    let pickle = format!("cos\nsystem\n(S'touch {}'\ntR.", touched.display());
    let weights = folder.write("evil.pth", pickle);
    let mut convert = Command::new(prepared().join("venv/bin/python"));
    convert.arg(repository().join("examples/model/convert.py")).arg(weights).arg(folder.join("out.onnx"));
    let output = convert.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("the file wants os.system"), "{told}");
    assert!(!touched.exists() && !folder.join("out.onnx").exists());
}

#[test]
fn the_configuration_of_the_example_is_sound() {
    let path = repository().join("examples/model/gatebridge.toml");
    let source = std::fs::read_to_string(&path).unwrap();
    let Err(report) = gatebridge::config::parse(&path, &source) else { return };
    for diagnostic in report.diagnostics() {
        // The release build may not be on this machine.
        assert_eq!(diagnostic.kind, gatebridge::config::Kind::Disk, "{report}");
    }
}
