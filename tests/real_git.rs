//! Git behind the gateway: the real `git` talks to the real `git-http-backend`, a CGI program; it must not know how.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{Folder, Gateway, eventually, noise, process};

/// `git` with nothing of this machine's configuration, and a home in the test's folder.
struct Git {
    home: PathBuf,
}

impl Git {
    fn new(folder: &Folder) -> Self {
        let name = "[user]\nname = Test\nemail = test@example.org\n[init]\ndefaultBranch = main\n";
        folder.write("home/.gitconfig", name);
        Self { home: folder.join("home") }
    }

    fn command(&self, at: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.arg("-C").arg(at).args(arguments).env("HOME", &self.home);
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TERMINAL_PROMPT", "0").env_remove("GIT_DIR");
        command.env_remove("http_proxy").env("no_proxy", "*");
        command
    }

    /// Runs git to its end, which must be a success.
    fn run(&self, at: &Path, arguments: &[&str]) -> Output {
        let output = self.command(at, arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {}\n{stderr}", output.status);
        output
    }

    fn head(&self, at: &Path) -> String {
        String::from_utf8(self.run(at, &["rev-parse", "refs/heads/main"]).stdout).unwrap()
    }

    /// Runs git with a trace of its HTTP, and gives the trace.
    fn traced(&self, at: &Path, arguments: &[&str]) -> String {
        let mut command = self.command(at, arguments);
        let output = command.env("GIT_TRACE_CURL", "1").env("GIT_TRACE_CURL_NO_DATA", "1").output().unwrap();
        let trace = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "git {arguments:?}: {}\n{trace}", output.status);
        trace
    }
}

/// A bare repository `srv/project.git` that takes pushes, and a gateway with Git at `/git/`.
fn serve(folder: &Folder, git: &Git) -> Gateway {
    let project = folder.join("srv/project.git");
    fs::create_dir_all(&project).unwrap();
    git.run(&project, &["init", "--quiet", "--bare"]);
    git.run(&project, &["config", "http.receivepack", "true"]);
    let programs = git.run(&project, &["--exec-path"]).stdout;
    let programs = String::from_utf8(programs).unwrap();
    let config = format!(
        "[[route]]\n\
         path = \"/git/\"\n\
         cgi = \"{}/git-http-backend\"\n\
         env = {{ GIT_PROJECT_ROOT = \"{}\", GIT_HTTP_EXPORT_ALL = \"1\" }}\n",
        programs.trim(),
        folder.join("srv").display()
    );
    Gateway::start(folder, &config)
}

fn commit(git: &Git, work: &Path, name: &str, content: &[u8]) {
    fs::write(work.join(name), content).unwrap();
    git.run(work, &["add", name]);
    git.run(work, &["commit", "--quiet", "--message", name]);
}

#[test]
fn a_repository_is_pushed_and_cloned() {
    let folder = Folder::new();
    let git = Git::new(&folder);
    let gateway = serve(&folder, &git);
    let url = gateway.url("/git/project.git");
    git.run(folder.path(), &["init", "--quiet", "work"]);
    let work = folder.join("work");
    commit(&git, &work, "README", b"A small thing.\n");
    git.run(&work, &["push", "--quiet", &url, "main"]);
    git.run(folder.path(), &["clone", "--quiet", &url, "copy"]);
    assert_eq!(git.head(&folder.join("copy")), git.head(&work));
    assert_eq!(fs::read(folder.join("copy/README")).unwrap(), b"A small thing.\n");

    commit(&git, &work, "CHANGES", b"Another thing.\n");
    git.run(&work, &["push", "--quiet", &url, "main"]);
    git.run(&folder.join("copy"), &["pull", "--quiet", "--ff-only"]);
    assert_eq!(git.head(&folder.join("copy")), git.head(&work));
}

/// A pack that is larger than http.postBuffer goes out chunked, its length unknown: the gateway spools it, because a
/// CGI program needs a CONTENT_LENGTH.
#[test]
fn lesson_44_a_chunked_push_of_30_mb_arrives_whole() {
    let folder = Folder::new();
    let git = Git::new(&folder);
    let gateway = serve(&folder, &git);
    let url = gateway.url("/git/project.git");
    git.run(folder.path(), &["init", "--quiet", "work"]);
    let work = folder.join("work");
    let content = noise(30, 30_000_000);
    commit(&git, &work, "noise", &content);
    let trace = git.traced(&work, &["-c", "http.postBuffer=65536", "push", &url, "main"]);
    assert!(trace.to_ascii_lowercase().contains("transfer-encoding: chunked"), "{trace}");

    git.run(&folder.join("srv/project.git"), &["fsck", "--strict"]);
    git.run(folder.path(), &["clone", "--quiet", &url, "copy"]);
    assert_eq!(git.head(&folder.join("copy")), git.head(&work));
    assert!(fs::read(folder.join("copy/noise")).unwrap() == content, "the clone has other bytes");
    eventually("no process to be left", || process::descendants(gateway.id()).is_empty().then_some(()));
}

/// Git compresses a request of more than 1024 bytes, and git-http-backend unpacks it by HTTP_CONTENT_ENCODING.
#[test]
fn a_gzipped_request_is_passed_on_as_it_is() {
    let folder = Folder::new();
    let git = Git::new(&folder);
    let gateway = serve(&folder, &git);
    let url = gateway.url("/git/project.git");
    git.run(folder.path(), &["init", "--quiet", "work"]);
    let work = folder.join("work");
    for number in 0..40 {
        commit(&git, &work, "counter", format!("{number}\n").as_bytes());
        git.run(&work, &["branch", &format!("branch-{number}")]);
    }
    git.run(&work, &["push", "--quiet", &url, "--all"]);
    for version in ["0", "2"] {
        let copy = format!("copy-{version}");
        let protocol = format!("protocol.version={version}");
        let trace = git.traced(folder.path(), &["-c", &protocol, "clone", &url, &copy]);
        assert!(trace.to_ascii_lowercase().contains("content-encoding: gzip"), "{trace}");
        assert_eq!(git.head(&folder.join(&copy)), git.head(&work));
    }
}

#[test]
fn a_repository_that_is_not_there_is_404() {
    let folder = Folder::new();
    let git = Git::new(&folder);
    let gateway = serve(&folder, &git);
    gateway.get("/git/other.git/info/refs?service=git-upload-pack").expect(404);
    let refs = gateway.get("/git/project.git/info/refs?service=git-upload-pack").expect(200);
    assert_eq!(refs.field("content-type"), Some("application/x-git-upload-pack-advertisement"));
}
