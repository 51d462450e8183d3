//! `gatebridge explain`: tells what a request for a URL would meet, without sending one and without starting anything.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use bytes::Bytes;
use clap::Args;
use gatebridge_cgi::{Environ, Scheme};
use gatebridge_http1::Host;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use crate::config;
use crate::gateway::{Explanation, explain};
use crate::route::decode_path;

/// Arguments of `gatebridge explain`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  gatebridge explain /cgi-bin/environ/a/b?c=d\n  \
    gatebridge explain --config site.toml https://blog.example.org/index.php\n\n\
    Exit status: 0 a program or a file would answer; 1 an error page would; 2 wrong usage.")]
pub(super) struct Explain {
    /// The URL, or its path alone.
    #[arg(value_name = "URL")]
    url: String,
    /// The configuration file, or a folder as for `serve`.
    #[arg(long, value_name = "FILE_OR_FOLDER")]
    config: Option<PathBuf>,
    /// The request's method.
    #[arg(long, short = 'X', default_value = "GET")]
    method: Method,
    /// A field of the request's head; may be given more than once.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    headers: Vec<String>,
}

pub(super) fn run(arguments: &Explain) -> ExitCode {
    match arguments.explain() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(&error);
            ExitCode::from(2)
        }
    }
}

#[allow(clippy::print_stderr, reason = "a command's talk to its user")]
fn complain(error: &anyhow::Error) {
    eprintln!("gatebridge explain: {error:#}");
}

impl Explain {
    /// Prints the explanation; `false` if the request would be answered with an error.
    fn explain(&self) -> anyhow::Result<bool> {
        let (config, _) =
            config::open(self.config.as_deref()).map_err(|report| anyhow::anyhow!("{report}"))?;
        let environ = self.environ(&config)?;
        let explanation = explain(&config, environ)?;
        let shown = show(&mut io::stdout().lock(), &explanation);
        // A reader that has seen enough and left is no failure.
        drop(shown);
        Ok(explanation.failure.is_none())
    }

    /// The environ of the request that the arguments describe.
    fn environ(&self, config: &config::Config) -> anyhow::Result<Environ> {
        let (scheme, rest) = match self.url.split_once("://") {
            // A path may have another URL in its query.
            Some((scheme, rest)) if !self.url.starts_with('/') => (scheme, Some(rest)),
            _ => ("http", None),
        };
        let (authority, target) = match rest {
            Some(rest) => rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())),
            None => ("localhost", self.url.as_str()),
        };
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let path = target.split('?').next().unwrap_or_default();
        let path = decode_path(path.as_bytes()).with_context(|| format!("the path of {:?}", self.url))?;
        let mut environ = Environ::from_head(
            self.method.clone(),
            Bytes::from(target.clone().into_bytes()),
            Version::HTTP_11,
            self.head(authority)?,
        );
        environ.path_info = Bytes::copy_from_slice(path.as_bytes());
        let host =
            Host::parse(&Bytes::copy_from_slice(authority.as_bytes())).context("the host of the URL")?;
        environ.server_name = Bytes::copy_from_slice(host.name().as_bytes());
        environ.scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => anyhow::bail!("a URL of http or https is wanted, and this is one of {other:?}"),
        };
        environ.server_port = host.port().unwrap_or_else(|| environ.scheme.default_port());
        environ.server_software = Bytes::copy_from_slice(config.server.name.as_bytes());
        Ok(environ)
    }

    fn head(&self, authority: &str) -> anyhow::Result<HeaderMap> {
        let mut head = HeaderMap::new();
        head.insert(http::header::HOST, HeaderValue::from_str(authority).context("the host of the URL")?);
        for field in &self.headers {
            let (name, value) =
                field.split_once(':').with_context(|| format!("--header {field:?} has no colon"))?;
            let name: HeaderName = name.trim().parse().with_context(|| format!("--header {field:?}"))?;
            let value = HeaderValue::from_str(value.trim()).with_context(|| format!("--header {field:?}"))?;
            head.append(name, value);
        }
        Ok(head)
    }
}

fn show(out: &mut dyn Write, explanation: &Explanation) -> io::Result<()> {
    match &explanation.route {
        Some(route) => writeln!(out, "route        {route}")?,
        None => writeln!(out, "route        none")?,
    }
    for (name, value) in &explanation.facts {
        writeln!(out, "{name:<12} {value}")?;
    }
    if let Some(failure) = &explanation.failure {
        let status = failure.kind.status().map_or(0, |status| status.as_u16());
        return writeln!(out, "answer       {status}: {failure}");
    }
    if !explanation.variables.is_empty() {
        writeln!(out, "\n{}", explanation.variables_are)?;
    }
    for (name, value) in &explanation.variables {
        writeln!(out, "  {}={}", shown(name), shown(value))?;
    }
    Ok(())
}

/// Bytes that may steer a terminal are shown and not obeyed.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .flat_map(|character| {
            let escape = character.is_control();
            escape
                .then(|| character.escape_default())
                .into_iter()
                .flatten()
                .chain((!escape).then_some(character))
        })
        .collect()
}
