//! How far long work is: a bar on a terminal, lines with a percentage elsewhere.

use super::failure::Failure;
use super::screen::Screen;
use admin::ProgressJson;
use indicatif::{ProgressBar, ProgressStyle};

/// Shows how far something is.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    /// The last percentage that was written as a line.
    said: usize,
}

impl Progress {
    pub(super) fn new(screen: &Screen<'_>) -> Self {
        let bar = screen.draws.then(|| {
            let style = ProgressStyle::with_template("{msg} [{bar:40}] {pos}/{len} {percent} % {eta}");
            ProgressBar::new(0)
                .with_message("importing")
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, said: 0 }
    }

    pub(super) fn at(&mut self, progress: ProgressJson, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let ProgressJson { running, done, total } = progress;
        if !running || total == 0 {
            return Ok(());
        }
        if let Some(bar) = &self.bar {
            bar.set_length(u64::try_from(total).unwrap_or(u64::MAX));
            bar.set_position(u64::try_from(done).unwrap_or(u64::MAX));
            return Ok(());
        }
        let percent = done.saturating_mul(100) / total;
        if percent >= self.said + LINE_EVERY {
            self.said = percent - percent % LINE_EVERY;
            screen.remark(format_args!("importing: {percent} % ({done} of {total})"))?;
        }
        Ok(())
    }

    pub(super) fn end(self, wrote: bool, screen: &mut Screen<'_>) -> Result<(), Failure> {
        match self.bar {
            Some(bar) => bar.finish_and_clear(),
            None if wrote => screen.remark("importing: 100 %")?,
            None => {}
        }
        Ok(())
    }
}

/// In percent.
const LINE_EVERY: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_terminal_there_is_a_line_every_ten_percent() {
        let mut err = Vec::new();
        let mut screen = Screen::of(&b""[..], Vec::new(), &mut err);
        let mut progress = Progress::new(&screen);
        for done in [0, 5, 10, 11, 19, 35, 36, 99, 100] {
            let now = ProgressJson { running: true, done, total: 100 };
            progress.at(now, &mut screen).expect("written");
        }
        progress.end(true, &mut screen).expect("written");
        drop(screen);
        let said = String::from_utf8(err).expect("text");
        let percents: Vec<&str> = said.lines().filter_map(|line| line.split(' ').nth(1)).collect();
        assert_eq!(percents, ["10", "35", "99", "100", "100"]);
    }
}
