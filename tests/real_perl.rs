//! Perl behind the gateway: the CGI and FCGI modules that Perl programs of thirty years use; it must not know how.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::collections::HashSet;

use common::{Folder, Gateway, noise};

const CGI_PM: &str = r#"#!/usr/bin/perl
use strict;
use warnings;
use CGI;
use Digest::MD5;

my $q = CGI->new;
if ($q->path_info eq '/redirect') {
    print $q->redirect(-uri => 'http://elsewhere.example/', -status => '301 Moved Permanently');
} elsif ($q->path_info eq '/upload') {
    my $file = $q->upload('file');
    my $digest = Digest::MD5->new->addfile($file->handle)->hexdigest;
    print $q->header(-type => 'text/plain'), scalar $q->param('file'), " $digest\n";
} else {
    print $q->header(
        -type => 'text/plain', -status => '202 Taken', -charset => 'utf-8',
        -cookie => [$q->cookie(-name => 'seen', -value => 'yes'), $q->cookie(-name => 'and', -value => 'more')],
    );
    print join(' ', $q->request_method, $q->url(-path_info => 1), map { "$_=" . $q->param($_) } sort $q->param), "\n";
    print 'cookie=', $q->cookie('old') // 'none', "\n";
}
"#;

#[test]
fn cgi_pm_reads_parameters_cookies_and_uploads() {
    let folder = Folder::new();
    folder.script("cgi-bin/cgi-pm", CGI_PM);
    let gateway = Gateway::start(&folder, "[[route]]\npath = \"/cgi-bin/\"\ncgi = \"cgi-bin\"\n");

    let answer = gateway.ask("GET", "/cgi-bin/cgi-pm/x?b=2&a=1+1", &[("Cookie", "old=1")], b"").expect(202);
    assert_eq!(answer.head.reason, "Taken", "lesson 46: the reason phrase is kept");
    assert_eq!(answer.text(), "GET http://test.example/cgi-bin/cgi-pm/x a=1 1 b=2\ncookie=1\n");
    assert_eq!(answer.head.fields_of("set-cookie"), ["seen=yes; path=/", "and=more; path=/"]);

    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let answer = gateway.ask("POST", "/cgi-bin/cgi-pm", &form, b"name=%C3%84&n=1").expect(202);
    assert!(
        answer.text().starts_with("POST http://test.example/cgi-bin/cgi-pm n=1 name=\u{c4}\n"),
        "{}",
        answer.text()
    );

    let answer = gateway.get("/cgi-bin/cgi-pm/redirect").expect(301);
    assert_eq!(answer.field("location"), Some("http://elsewhere.example/"));

    let mut body =
        b"--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.bin\"\r\n\r\n".to_vec();
    body.extend(noise(7, 2_000_000));
    body.extend(b"\r\n--cut--\r\n");
    let fields = [("Content-Type", "multipart/form-data; boundary=cut")];
    let answer = gateway.ask("POST", "/cgi-bin/cgi-pm/upload", &fields, &body).expect(200);
    let (name, digest) =
        answer.text().trim_end().split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert_eq!((name.as_str(), digest.len()), ("f.bin", 32));
}

const FCGI_PM: &str = r#"#!/usr/bin/perl
use strict;
use warnings;
use FCGI;

my %env;
my ($in, $out, $err) = (IO::Handle->new, IO::Handle->new, IO::Handle->new);
my $request = FCGI::Request($in, $out, $err, \%env);
my $count = 0;
while ($request->Accept() >= 0) {
    $count++;
    my $size = 0;
    while (read $in, my $piece, 65536) { $size += length $piece }
    print $err "request $count for the log\n";
    print $out "Content-Type: text/plain\r\n\r\n";
    print $out "$$ $count $env{REQUEST_METHOD} $env{SCRIPT_NAME} $env{PATH_INFO} $size ", scalar(keys %env) > 10 ? 'ok' : 'few', "\n";
    last if $count == 20;
}
"#;

#[test]
fn an_fcgi_worker_is_started_kept_and_replaced_when_it_ends() {
    let folder = Folder::new();
    let worker = folder.script("worker.pl", FCGI_PM.replace("use FCGI;", "use IO::Handle;\nuse FCGI;"));
    let config = format!(
        "[pool.perl]\nspeak = \"fastcgi\"\ncommand = [\"{}\"]\n[[route]]\npath = \"/app\"\npool = \"perl\"\n",
        worker.display()
    );
    let gateway = Gateway::start(&folder, &config);
    let body = noise(8, 1_000_000);
    let mut client = gateway.connect();
    let mut workers = HashSet::new();
    for number in 0..50 {
        // POSTs while the first worker lives. A POST that meets a worker's end on a kept connection may have been read,
        // and is not repeated (lesson 18); a GET is (lesson 51).
        let (method, body) = if number < 10 { ("POST", &body[..]) } else { ("GET", &b""[..]) };
        let answer = client.ask(method, "/app/some/path", &[], body).expect(200).text();
        let (pid, rest) = answer.split_once(' ').unwrap();
        workers.insert(pid.to_owned());
        let expected = format!("{} {method} /app /some/path {} ok\n", number % 20 + 1, body.len());
        assert_eq!(rest, expected, "request {number}");
    }
    assert_eq!(workers.len(), 3, "50 requests at 20 a worker: {workers:?}");
    gateway.wait_for_line("request 20 for the log");
}
