//! `GET /metrics` over TCP, and nothing else: a request, an answer, the end (RFC 9112 with `Connection: close`).

use super::Meters;
use crate::node::sockets::Sockets;
use net::{BindError, Shutdown};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Listens where monitors ask.
pub(in crate::node) fn listen(
    addresses: &[SocketAddr],
    sockets: &mut Sockets,
) -> Result<Vec<(SocketAddr, TcpListener)>, BindError> {
    let open = |address: &SocketAddr| {
        let socket = sockets.take(*address)?.listen()?;
        let local = socket.local_addr().map_err(|source| BindError { address: *address, source })?;
        Ok((local, socket))
    };
    addresses.iter().map(open).collect()
}

/// Answers scrapes until the node stops.
pub(in crate::node) async fn serve(listener: TcpListener, meters: Arc<Meters>, shutdown: Shutdown) {
    let seats = Arc::new(Semaphore::new(CONNECTION_COUNT_MAX));
    loop {
        let accepted = tokio::select! {
            () = shutdown.draining() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, peer)) = accepted else {
            // Out of descriptors, or the one who came has gone: the next look is as good after a moment.
            meters.clock.sleep(REST_SPAN).await;
            continue;
        };
        // Who finds all seats taken is closed at once: a monitor comes again.
        let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else { continue };
        let meters = Arc::clone(&meters);
        let spawn = Arc::clone(&meters.spawn);
        spawn.task(Box::pin(async move {
            let late = meters.clock.sleep(REQUEST_SPAN_MAX);
            tokio::select! {
                answered = answer(stream, &meters) => if let Err(error) = answered {
                    tracing::debug!(%peer, %error, "a scrape broke");
                },
                () = late => tracing::debug!(%peer, "a scrape took too long"),
            }
            drop(seat);
        }));
    }
}

async fn answer(mut stream: TcpStream, meters: &Meters) -> io::Result<()> {
    let mut head = Vec::new();
    while !ends(&head) {
        if head.len() > HEAD_OCTETS_MAX {
            return say(&mut stream, "431 Request Header Fields Too Large", "too long\n").await;
        }
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let line = head.split(|octet| *octet == b'\r' || *octet == b'\n').next().unwrap_or_default();
    let mut words = line.split(|octet| *octet == b' ');
    match (words.next(), words.next()) {
        (Some(b"GET"), Some(b"/metrics")) => say(&mut stream, "200 OK", &meters.page().await).await,
        (Some(b"GET"), _) => say(&mut stream, "404 Not Found", "there is /metrics\n").await,
        _ => say(&mut stream, "405 Method Not Allowed", "there is GET /metrics\n").await,
    }
}

/// Whether the empty line behind the header has come (RFC 9112 §2.2: a lone LF ends a line, too).
fn ends(head: &[u8]) -> bool {
    head.windows(4).any(|four| four == b"\r\n\r\n") || head.windows(2).any(|two| two == b"\n\n")
}

async fn say(stream: &mut TcpStream, status: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

/// Scrapes at a time. A site has one monitor, or two.
const CONNECTION_COUNT_MAX: usize = 16;
/// From the connection to the end of its answer.
const REQUEST_SPAN_MAX: Duration = Duration::from_secs(10);
const REST_SPAN: Duration = Duration::from_millis(200);
/// Monitors send a few hundred octets.
const HEAD_OCTETS_MAX: usize = 8 << 10;
