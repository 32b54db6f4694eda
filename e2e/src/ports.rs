//! Free blocks of ports.

use anyhow::{Result, bail};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// A block of ports that this process holds. The block is held by a listener on its last port, so that sites started
/// at the same time, also by other processes, take different ones.
#[derive(Debug)]
pub struct Block {
    base: u16,
    _guard: TcpListener,
}

impl Block {
    /// A block in which nothing listens where a site would.
    pub fn take() -> Result<Self> {
        // Neighbours start elsewhere, so that they seldom try the same block.
        let first = u16::try_from(std::process::id() % u32::from(BLOCKS))?;
        for place in (0..BLOCKS).map(|step| (first + step) % BLOCKS) {
            let base = RANGE_START + place * SIZE;
            if let Some(guard) = hold(base) {
                return Ok(Self { base, _guard: guard });
            }
        }
        bail!("no free block of {SIZE} ports above {RANGE_START}");
    }

    /// What `--port-base` gets.
    pub fn base(&self) -> u16 {
        self.base
    }

    /// One of its ports on loopback.
    pub fn loopback(&self, offset: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.base + offset))
    }
}

fn hold(base: u16) -> Option<TcpListener> {
    let guard = TcpListener::bind((Ipv4Addr::LOCALHOST, base + SIZE - 1)).ok()?;
    let is_free = OFFSETS.iter().all(|offset| TcpListener::bind((Ipv4Addr::LOCALHOST, base + offset)).is_ok());
    is_free.then_some(guard)
}

/// A site adds the well-known ports of its protocols to its base; the nodes of a cluster take the first ones too.
const OFFSETS: [u16; 19] = [1, 2, 3, 4, 5, 6, 24, 25, 26, 27, 80, 110, 143, 443, 465, 587, 993, 995, 4190];

const SIZE: u16 = 1000;

/// All of them, 4190 included, stay below the range that kernels take for outgoing connections (32768 on Linux), which
/// could take one of ours.
const RANGE_START: u16 = 4_000;
const BLOCKS: u16 = 24;
