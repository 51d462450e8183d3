//! PHP behind the gateway: a php-fpm that runs already, and php-cgi workers that the gateway starts; it must not know
//! how either is spoken to.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::collections::HashSet;

use common::{Answer, Client, Ended, Folder, Gate, Gateway, Peer, eventually, noise, program};

const INDEX: &str = r#"<?php
header('Content-Type: text/plain');
foreach (['REQUEST_METHOD', 'SCRIPT_NAME', 'PATH_INFO', 'QUERY_STRING', 'REQUEST_URI', 'SCRIPT_FILENAME',
          'DOCUMENT_ROOT', 'HTTP_PROXY', 'HTTP_X_ONE'] as $name) {
    echo $name, '=', $_SERVER[$name] ?? '(unset)', "\n";
}
"#;

const POST: &str = r#"<?php
header('Content-Type: text/plain');
if (isset($_FILES['file'])) {
    $file = $_FILES['file'];
    echo $file['name'], ' ', $file['error'], ' ', md5_file($file['tmp_name']), "\n";
} elseif ($_POST) {
    echo 'name=', $_POST['name'], "\n";
} else {
    echo strlen(file_get_contents('php://input')), ' ', $_SERVER['CONTENT_LENGTH'], "\n";
}
"#;

const STREAM: &str = r#"<?php
header('Content-Type: text/plain');
while (ob_get_level()) ob_end_flush();
echo "one\n";
flush();
$gate = fopen($_SERVER['GATE'], 'r');
fgets($gate);
echo "two\n";
"#;

const STATUS: &str = r#"<?php
setcookie('a', '1');
setcookie('b', '2');
header('Location: /elsewhere', true, 303);
echo 'see there';
"#;

/// The pages, in `www`.
fn pages(folder: &Folder) {
    folder.write("www/index.php", INDEX);
    folder.write("www/post.php", POST);
    folder.write("www/stream.php", STREAM);
    folder.write("www/status.php", STATUS);
    folder.write("www/pid.php", "<?php header('Content-Type: text/plain'); echo getmypid();");
    folder.write("www/fatal.php", "<?php ini_set('display_errors', '0'); no_such_function();");
    folder.write("www/upload.jpg", "<?php echo 'an upload must not run';");
}

const LIMITS: &str = "php_admin_value[upload_max_filesize] = 64M\nphp_admin_value[post_max_size] = 64M\n";

struct Fpm {
    gateway: Gateway,
    folder: Folder,
    _fpm: Peer,
}

/// The gateway before a php-fpm with two children.
fn fpm() -> Fpm {
    let folder = Folder::new();
    pages(&folder);
    let address = format!("unix:{}", folder.join("fpm.sock").display());
    let fpm = Peer::php_fpm(&folder, 2, &address, LIMITS);
    let config = format!(
        "[pool.php]\nspeak = \"fastcgi\"\nconnect = [\"{address}\"]\nmax_connections = 2\n\
         [[route]]\npath = \"/\"\npool = \"php\"\nroot = \"{}\"\nindex = \"index.php\"\n\
         env = {{ GATE = \"{}\" }}\n",
        folder.join("www").display(),
        folder.join("gate").display()
    );
    Fpm { gateway: Gateway::start(&folder, &config), folder, _fpm: fpm }
}

#[test]
fn a_page_sees_its_request() {
    let php = fpm();
    let root = php.folder.join("www").display().to_string();
    let page =
        php.gateway.ask("GET", "/?x=1&y=%20", &[("X-One", "eins"), ("Proxy", "evil")], b"").expect(200);
    assert_eq!(
        page.text(),
        format!(
            "REQUEST_METHOD=GET\nSCRIPT_NAME=/index.php\nPATH_INFO=\nQUERY_STRING=x=1&y=%20\nREQUEST_URI=/?x=1&y=%20\n\
             SCRIPT_FILENAME={root}/index.php\nDOCUMENT_ROOT={root}\nHTTP_PROXY=(unset)\nHTTP_X_ONE=eins\n"
        )
    );
    let page = php.gateway.get("/index.php/more/path%20s").expect(200).text();
    assert!(page.contains("\nSCRIPT_NAME=/index.php\nPATH_INFO=/more/path s\n"), "{page}");
    assert!(page.contains("\nREQUEST_URI=/index.php/more/path%20s\n"), "{page}");
}

#[test]
fn forms_uploads_and_raw_bodies_arrive() {
    let php = fpm();
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let post =
        |fields: &[(&str, &str)], body: &[u8]| php.gateway.ask("POST", "/post.php", fields, body).expect(200);
    assert_eq!(post(&form, b"name=Ada+Lovelace").text(), "name=Ada Lovelace\n");
    let file = noise(5, 5_000_000);
    let mut body =
        b"--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.bin\"\r\n\r\n".to_vec();
    body.extend(&file);
    body.extend(b"\r\n--cut--\r\n");
    let answer = post(&[("Content-Type", "multipart/form-data; boundary=cut")], &body).text();
    assert_eq!(answer, format!("f.bin 0 {}\n", md5(&php.folder, &file)));
    assert_eq!(post(&[("Content-Type", "text/plain")], &file).text(), "5000000 5000000\n");
}

/// PHP cannot read a body without a length: a chunked one is spooled first.
#[test]
fn lesson_44_php_gets_the_length_of_a_chunked_body() {
    let php = fpm();
    let mut body = Vec::new();
    for piece in noise(6, 300_000).chunks(7_000) {
        body.extend(format!("{:x}\r\n", piece.len()).into_bytes());
        body.extend(piece);
        body.extend(b"\r\n");
    }
    body.extend(b"0\r\n\r\n");
    let fields = [("Transfer-Encoding", "chunked"), ("Content-Type", "text/plain")];
    let answer = php.gateway.ask("POST", "/post.php", &fields, &body).expect(200);
    assert_eq!(answer.text(), "300000 300000\n");
}

#[test]
fn a_redirect_with_cookies_and_a_head_arrive() {
    let php = fpm();
    let answer = php.gateway.get("/status.php").expect(303);
    assert_eq!(answer.head.fields_of("set-cookie"), ["a=1", "b=2"]);
    assert_eq!((answer.field("location"), answer.text().as_str()), (Some("/elsewhere"), "see there"));
    // Lesson 48: PHP writes a body to HEAD too.
    let answer = php.gateway.ask("HEAD", "/index.php", &[], b"").expect(200);
    assert_eq!((answer.body.len(), answer.ended), (0, Ended::Complete));
}

#[test]
fn lesson_5_only_a_php_file_runs_and_a_missing_one_is_404() {
    let php = fpm();
    for path in ["/missing.php", "/upload.jpg/x.php", "/index.PHP"] {
        let answer = php.gateway.get(path);
        assert!(matches!(answer.status(), 403 | 404), "{path}: {:?}", answer.head);
        assert!(!answer.text().contains("an upload must not run"), "{path}: {}", answer.text());
    }
    php.gateway.get("/missing.php").expect(404);
}

#[test]
fn a_fatal_error_is_500_and_its_message_is_in_the_log() {
    let php = fpm();
    php.gateway.get("/fatal.php").expect(500);
    php.gateway.wait_for_line("no_such_function");
}

#[test]
fn output_arrives_while_the_page_still_runs() {
    let php = fpm();
    let mut gate = Gate::new(&php.folder, "gate");
    let mut client = php.gateway.connect();
    client.send("GET /stream.php HTTP/1.1\r\nHost: test.example\r\n\r\n");
    assert_eq!(client.receive_head("GET").status, 200);
    assert_eq!(client.receive_piece(), Ok(b"one\n".to_vec()));
    gate.open();
    assert_eq!(client.receive_piece(), Ok(b"two\n".to_vec()));
    assert_eq!(client.receive_piece(), Err(Ended::Complete));
}

#[test]
fn many_requests_share_the_children() {
    let php = fpm();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let address = php.gateway.address();
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                let pids = (0..50).map(|_| client.ask("GET", "/pid.php", &[], b"").expect(200).text());
                pids.collect::<HashSet<_>>()
            })
        })
        .collect();
    let pids: HashSet<_> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    assert!((1..=2).contains(&pids.len()), "{pids:?}");
}

/// php-cgi ends after PHP_FCGI_MAX_REQUESTS: it closes the connection that the gateway keeps, and its socket with it.
#[test]
fn lesson_51_workers_that_end_by_themselves_lose_no_request() {
    let folder = Folder::new();
    pages(&folder);
    let config = format!(
        "[pool.php]\nspeak = \"fastcgi\"\ncommand = [\"{}\"]\nworkers = 2\n\
         env = {{ PHP_FCGI_MAX_REQUESTS = \"3\" }}\n\
         [[route]]\npath = \"/\"\npool = \"php\"\nroot = \"{}\"\nindex = \"index.php\"\n",
        program(&["php-cgi"]).display(),
        folder.join("www").display()
    );
    let gateway = Gateway::start(&folder, &config);
    let mut client = gateway.connect();
    let mut pids = HashSet::new();
    for number in 0..40 {
        let Answer { head, body, .. } = client.ask("GET", "/pid.php", &[], b"");
        assert_eq!(head.status, 200, "request {number}: {head:?}");
        pids.insert(String::from_utf8(body).unwrap());
    }
    assert!(pids.len() >= 13, "40 requests at 3 a worker: {pids:?}");
    eventually("two workers to run again", || {
        (common::process::children(gateway.id()).iter().filter(|child| child.state != 'Z').count() == 2)
            .then_some(())
    });
}

/// The MD5 sum of these bytes, by the system's program.
fn md5(folder: &Folder, bytes: &[u8]) -> String {
    let file = folder.write("bytes", bytes);
    let output = std::process::Command::new("md5sum").arg(file).output().unwrap().stdout;
    String::from_utf8(output).unwrap()[..32].to_owned()
}
