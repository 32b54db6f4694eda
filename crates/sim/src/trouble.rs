//! What goes wrong, and when.

use crate::chance::Chance;
use crate::host::{Host, IndexFault};
use disk::Fault;

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Everything is answered and applied, then the power goes: nothing may change.
    Quiet,
    /// The power goes in the middle of some change of the disk.
    PowerCut,
    /// The power goes with a commit of the index, before or after it.
    IndexCut,
    /// The process dies, the machine stays up.
    Kill,
    /// A write fails, and half of it is there.
    WriteFails,
    /// A sync fails, and some of what it covered is lost.
    SyncFails,
    /// The disk is full for a while.
    NoSpace,
}

/// What ended with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    MachineStaysUp,
    MachineWentDown,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Quiet, Self::PowerCut, Self::IndexCut, Self::Kill, Self::WriteFails, Self::SyncFails, Self::NoSpace];

    pub(crate) fn draw(chance: &mut Chance) -> Self {
        // The power goes most often: most of what a crash can leave is left by it.
        if chance.one_in(3) { Self::PowerCut } else { *chance.pick(&Self::ALL).expect("there are seven") }
    }

    /// Makes it come.
    pub(crate) fn arm(self, host: &Host, chance: &mut Chance) {
        match self {
            Self::Quiet | Self::Kill => {}
            Self::PowerCut => host.disk.cut_power_after(chance.below(160)),
            Self::IndexCut => {
                host.fail_index(Some(IndexFault { others: chance.below(4), kept: chance.one_in(2) }));
            }
            Self::WriteFails => host.disk.inject(Fault::Write, chance.below(60)),
            Self::SyncFails => host.disk.inject(Fault::Sync, chance.below(40)),
            Self::NoSpace => host.leave_free(chance.below(4 << 20)),
        }
    }

    /// Whether it makes something fail.
    pub(crate) fn is_fault(self) -> bool {
        match self {
            Self::Quiet | Self::Kill => false,
            Self::PowerCut | Self::IndexCut | Self::WriteFails | Self::SyncFails | Self::NoSpace => true,
        }
    }

    /// Whether it may strike after such an end.
    pub(crate) fn outlives(self, end: End) -> bool {
        match (end, self) {
            (End::MachineStaysUp, Self::WriteFails | Self::SyncFails) => true,
            (End::MachineStaysUp, Self::Quiet | Self::Kill | Self::PowerCut | Self::IndexCut | Self::NoSpace)
            | (End::MachineWentDown, _) => false,
        }
    }

    /// The end: what the store leaves is what the next one finds.
    pub(crate) fn end(self, host: &Host, chance: &mut Chance) -> End {
        let machine_stays_up = match self {
            Self::Kill => true,
            Self::WriteFails | Self::SyncFails | Self::NoSpace => chance.one_in(2),
            Self::Quiet | Self::PowerCut | Self::IndexCut => false,
        };
        host.fail_index(None);
        host.free_all();
        if machine_stays_up && !host.disk.is_off() {
            host.disk.kill();
            End::MachineStaysUp
        } else {
            host.disk.crash();
            End::MachineWentDown
        }
    }

    /// Trouble for the start that follows: recovery within recovery.
    pub(crate) fn draw_for_start(chance: &mut Chance) -> Option<Self> {
        match chance.below(9) {
            0 | 1 => Some(Self::PowerCut),
            2 => Some(Self::SyncFails),
            3 => Some(Self::WriteFails),
            4 => Some(Self::NoSpace),
            _ => None,
        }
    }

    /// Makes it come soon: a start makes few changes.
    pub(crate) fn arm_for_start(self, host: &Host, chance: &mut Chance) {
        match self {
            Self::PowerCut => host.disk.cut_power_after(chance.below(24)),
            Self::WriteFails => host.disk.inject(Fault::Write, chance.below(6)),
            Self::SyncFails => host.disk.inject(Fault::Sync, chance.below(6)),
            Self::Quiet | Self::IndexCut | Self::Kill | Self::NoSpace => self.arm(host, chance),
        }
    }
}
