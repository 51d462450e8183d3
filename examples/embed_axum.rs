//! A gateway inside an axum application, and an axum router inside a gateway. It teaches both directions, and what the server
//! in front has to tell; it must not know what the scripts do.
//!
//! ```sh
//! cargo run --example embed_axum -- 127.0.0.1:8080 cgi-bin
//! curl http://127.0.0.1:8080/                         # axum alone
//! curl http://127.0.0.1:8080/cgi-bin/hello.sh         # axum, then the gateway, then a process
//! curl http://127.0.0.1:8080/cgi-bin/router/you       # axum, then the gateway, then another router
//! ```

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it says where it listens to whoever started it"
)]

use std::error::Error;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, OriginalUri, Path};
use axum::routing::get;
use gatebridge::{Arrival, Gateway};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let folder = arguments.next().unwrap_or_else(|| "cgi-bin".to_owned());

    // A router in the gateway: it sees the path below its place.
    let router = Router::new()
        .route("/{name}", get(|Path(name): Path<String>| async move { format!("you are {name}\n") }));

    // No `listen`: the gateway answers nobody but the application around it.
    let gateway = Gateway::builder()
        .config_text(format!("[[route]]\npath = \"/\"\ncgi = {folder:?}\n"))
        .mount_service("/router", router)
        .start()
        .await?;

    // Only the server knows who asked, and what it took off the path.
    let service = gateway.service().with_arrival(|extensions| Arrival {
        remote: extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0),
        original_uri: extensions.get::<OriginalUri>().map(|uri| uri.0.clone()),
        ..Arrival::default()
    });
    let application = Router::new()
        .route("/", get(|| async { "this is axum\n" }))
        .nest_service("/cgi-bin", service)
        .into_make_service_with_connect_info::<SocketAddr>();

    let listener = TcpListener::bind(address).await?;
    println!("http://{}/", listener.local_addr()?);
    let interrupted = async move {
        interrupts.recv().await;
    };
    axum::serve(listener, application).with_graceful_shutdown(interrupted).await?;

    // The server has let its requests end; now the programs behind it.
    gateway.stop().await;
    Ok(())
}
