//! A TCP proxy between two nodes that fails on demand.

use anyhow::Result;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// What happens to the octets of all connections, those that are there and those that come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Every piece comes later by this much.
    Delay(Duration),
    /// What the callee says is swallowed; what it is told arrives.
    Mute,
    /// Connections are taken, and nothing passes either way: a machine that hangs, a cable that was cut.
    Hold,
    /// Connections are closed at once: a machine where nobody listens.
    Refuse,
}

/// A proxy on a port of its own, for as long as it lives.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    callee: SocketAddr,
    /// What the callee hears first.
    introduction: &'static [u8],
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    fault: Fault,
    /// Both ends of every connection that is there.
    connections: Vec<(TcpStream, TcpStream)>,
    /// How many there have been.
    accepted: usize,
    is_over: bool,
}

impl FaultProxy {
    /// Listens for whoever wants to speak to `callee`.
    pub fn to(callee: SocketAddr) -> Result<Self> {
        Self::introducing(callee, b"")
    }

    /// The same for who does not know the PROXY protocol: every connection begins with a header that names nobody
    /// (version 2, LOCAL).
    pub fn announcing(callee: SocketAddr) -> Result<Self> {
        Self::introducing(callee, b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00")
    }

    fn introducing(callee: SocketAddr, introduction: &'static [u8]) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let state = State { fault: Fault::None, connections: Vec::new(), accepted: 0, is_over: false };
        let shared = Arc::new(Shared { callee, introduction, state: Mutex::new(state), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for caller in listener.incoming() {
                if accepting.state().is_over {
                    return;
                }
                if let Ok(caller) = caller {
                    accepting.take(caller);
                }
            }
        });
        Ok(Self { address, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on this happens.
    pub fn set(&self, fault: Fault) {
        self.shared.state().fault = fault;
        self.shared.changed.notify_all();
    }

    /// Cuts every connection that is there, at both ends.
    pub fn cut(&self) {
        for (caller, callee) in self.shared.state().connections.drain(..) {
            // They may be gone already.
            caller.shutdown(Shutdown::Both).ok();
            callee.shutdown(Shutdown::Both).ok();
        }
    }

    /// How many connections there have been.
    pub fn accepted(&self) -> usize {
        self.shared.state().accepted
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.state().is_over = true;
        self.set(Fault::None);
        self.cut();
        // Wakes the thread that accepts.
        TcpStream::connect(self.address).ok();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(self: &Arc<Self>, caller: TcpStream) {
        self.state().accepted += 1;
        if self.state().fault == Fault::Refuse {
            return;
        }
        let Ok(mut callee) = TcpStream::connect(self.callee) else { return };
        if callee.write_all(self.introduction).is_err() {
            return;
        }
        let ends = [(&caller, &callee, Way::There), (&callee, &caller, Way::Back)];
        for (from, to, way) in ends {
            let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { return };
            let shared = Arc::clone(self);
            thread::spawn(move || shared.pump(from, to, way));
        }
        self.state().connections.push((caller, callee));
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream, way: Way) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let passes = self.wait(way);
            let piece = buffer.get(..read).unwrap_or_default();
            if passes && to.write_all(piece).is_err() {
                break;
            }
        }
        // The other half may go on.
        self.wait(way);
        to.shutdown(Shutdown::Write).ok();
    }

    /// Waits for as long as nothing passes; whether what was read passes then.
    fn wait(&self, way: Way) -> bool {
        let mut state = self.state();
        loop {
            match (state.fault, way) {
                _ if state.is_over => return false,
                (Fault::Hold, _) => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                (Fault::Delay(span), _) => {
                    drop(state);
                    thread::sleep(span);
                    return true;
                }
                (Fault::Mute, Way::Back) => return false,
                (Fault::None | Fault::Refuse, _) | (Fault::Mute, Way::There) => return true,
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From the caller.
    There,
    /// From the callee.
    Back,
}
