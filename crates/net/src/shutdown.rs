//! How a program stops: first politely, then for certain.

use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Running,
    Draining,
    Cut,
}

/// The end that decides. Dropping the last clone cuts.
#[derive(Clone, Debug)]
pub struct Stopper(watch::Sender<Stage>);

/// The end that obeys; clone it for whoever must know.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<Stage>);

impl Stopper {
    /// Both ends.
    pub fn new() -> (Self, Shutdown) {
        let (stopper, shutdown) = watch::channel(Stage::Running);
        (Self(stopper), Shutdown(shutdown))
    }

    /// No new sessions; those there are finish their command, say so to their peers, and end.
    pub fn drain(&self) {
        self.raise(Stage::Draining);
    }

    /// Sessions that are still there end now.
    pub fn cut(&self) {
        self.raise(Stage::Cut);
    }

    fn raise(&self, stage: Stage) {
        self.0.send_if_modified(|current| {
            let raised = *current < stage;
            *current = stage.max(*current);
            raised
        });
    }
}

impl Shutdown {
    /// Whether the program is about to stop.
    pub fn is_draining(&self) -> bool {
        self.stage() >= Stage::Draining
    }

    /// Completes when the program is about to stop. A handler's `wake` waits for it, to say good-bye.
    pub async fn draining(&self) {
        self.reaches(Stage::Draining).await;
    }

    /// Completes when the time for good-byes is over.
    pub async fn cut(&self) {
        self.reaches(Stage::Cut).await;
    }

    fn stage(&self) -> Stage {
        if self.0.has_changed().is_err() { Stage::Cut } else { *self.0.borrow() }
    }

    async fn reaches(&self, stage: Stage) {
        let mut stages = self.0.clone();
        // An error says that nobody is left to decide, which is a decision too.
        let _nobody_left = stages.wait_for(|current| *current >= stage).await.is_err();
    }
}
