//! `gatebridge check`: reads a configuration and tells every mistake in it; it opens no listener and starts no
//! program.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::{self, Config, Report};

/// The configuration has mistakes.
const MISTAKES: u8 = 1;
/// There is nothing that could be checked.
const UNREADABLE: u8 = 2;

/// Check a configuration and tell every mistake in it, with file, line and column.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 the configuration is good; 1 it has mistakes; 2 it cannot be read.")]
pub(super) struct Check {
    /// The file, or a folder with a gatebridge.toml in it
    #[arg(value_name = "FILE", default_value = config::FILE_NAME)]
    file: PathBuf,
    /// Take warnings for mistakes
    #[arg(long)]
    strict: bool,
}

/// Runs the command: the report goes to standard error, one line of success to standard output.
pub(super) fn run(args: Check) -> ExitCode {
    let mut stdout = std::io::stdout().lock();
    let mut stderr = std::io::stderr().lock();
    ExitCode::from(check(&args, &mut stdout, &mut stderr))
}

fn check(args: &Check, stdout: &mut dyn Write, stderr: &mut dyn Write) -> u8 {
    // A closed pipe behind either stream is no reason to give another verdict: the exit code has it.
    let (config, report) = match config::open(Some(&args.file)) {
        Ok((config, report)) => (Some(config), report),
        Err(report) => (None, report),
    };
    let _ = write!(stderr, "{report}");
    if !report.is_empty() && !report.is_unreadable() {
        let _ = write!(stderr, "\n{}\n", summary(&report));
    }
    match config {
        Some(_) if args.strict && !report.is_empty() => MISTAKES,
        Some(config) => {
            let _ = writeln!(stdout, "{}: ok, {}", args.file.display(), contents(&config));
            0
        }
        None if report.is_unreadable() => UNREADABLE,
        None => MISTAKES,
    }
}

fn summary(report: &Report) -> String {
    let file = report.file().display();
    match (report.errors(), report.warnings()) {
        (errors, 0) => format!("{file}: {}", plural(errors, "mistake")),
        (0, warnings) => format!("{file}: {}", plural(warnings, "warning")),
        (errors, warnings) => {
            format!("{file}: {}, {}", plural(errors, "mistake"), plural(warnings, "warning"))
        }
    }
}

fn contents(config: &Config) -> String {
    let listeners = plural(config.listeners.len(), "listener");
    let pools = plural(config.pools.len(), "pool");
    format!("{listeners}, {pools}, {}", plural(config.routes.len(), "route"))
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exit code and what is said on standard output and standard error.
    fn said(file: &str, strict: bool) -> (u8, String, String) {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let code = check(&Check { file: file.into(), strict }, &mut stdout, &mut stderr);
        (code, String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }

    #[test]
    fn a_good_file_is_summed_up_on_standard_output() {
        let (code, stdout, stderr) = said("tests/configs/good/design.toml", false);
        assert_eq!(code, 0);
        assert_eq!(stdout, "tests/configs/good/design.toml: ok, 1 listener, 2 pools, 4 routes\n");
        assert_eq!(stderr, "");
    }

    #[test]
    fn mistakes_are_told_and_counted_on_standard_error() {
        let (code, stdout, stderr) = said("tests/configs/bad/unknown.toml", false);
        assert_eq!((code, stdout.as_str()), (MISTAKES, ""));
        assert!(stderr.contains("--> tests/configs/bad/unknown.toml:5:1\n"), "{stderr}");
        let told = stderr.matches("error: ").count();
        assert!(
            stderr.ends_with(&format!("\ntests/configs/bad/unknown.toml: {told} mistakes\n")),
            "{stderr}"
        );
    }

    #[test]
    fn a_warning_is_told_and_refused_only_when_asked() {
        let file = "tests/configs/good/warnings.toml";
        let (code, stdout, stderr) = said(file, false);
        assert_eq!(code, 0);
        assert!(stdout.contains(": ok, 1 listener, 1 pool, 1 route\n"), "{stdout}");
        assert!(stderr.ends_with(&format!("\n{file}: 1 warning\n")), "{stderr}");
        let (code, stdout, _) = said(file, true);
        assert_eq!((code, stdout.as_str()), (MISTAKES, ""));
    }

    #[test]
    fn what_cannot_be_read_has_a_code_of_its_own() {
        let (code, stdout, stderr) = said("tests/configs/no-such.toml", false);
        assert_eq!((code, stdout.as_str()), (UNREADABLE, ""));
        assert!(stderr.contains("there is no such file"), "{stderr}");
        assert!(!stderr.contains("1 mistake"), "{stderr}");
        let (code, _, stderr) = said("/dev/zero", false);
        assert_eq!(code, UNREADABLE);
        assert!(stderr.contains("it is longer than 16777216 bytes"), "{stderr}");
    }
}
