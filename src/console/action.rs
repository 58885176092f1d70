//! What a user can ask of the screen, and what the screen then asks of the program. Plain values:
//! knows no key and no server.

use std::path::PathBuf;

use strum::VariantArray;
use tui_input::InputRequest;

use crate::mailroom::MailroomRequest;
pub use crate::relay::orders::QueueTarget;
pub use crate::relay::postmaster::Request;
pub use crate::servers::settings::{Setting, SettingName};
pub use crate::servers::supervisor::{Change, ServerOrder};

/// One of the numbered panes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, VariantArray)]
pub enum Pane {
    /// The connections, open and lately closed.
    Connections,
    /// What is said on them.
    Transcript,
    /// The mailboxes in the directory.
    Mailboxes,
    /// What waits for the relay.
    Queue,
    /// The program's own diagnostics.
    Log,
}

impl Pane {
    /// In the order of their numbers.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The number and the name, as the title has them.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Connections => "1 Connections",
            Self::Transcript => "2 Transcript",
            Self::Mailboxes => "3 Mailboxes",
            Self::Queue => "4 Relay queue",
            Self::Log => "5 Log",
        }
    }
}

/// Where keys go, where no question, no help and no typing takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Context {
    /// A pane.
    Pane(Pane),
    /// The messages of the mailbox that is open.
    Messages,
    /// The message that is open.
    Message,
    /// The servers' popup.
    Servers,
}

/// How far a move in a list goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// One row towards the beginning.
    Up,
    /// One row towards the end.
    Down,
    /// Half of what is in view.
    HalfPageUp,
    /// Half of what is in view.
    HalfPageDown,
    /// What is in view.
    PageUp,
    /// What is in view.
    PageDown,
    /// To the beginning.
    First,
    /// To the end; the transcript follows again.
    Last,
}

/// Where the next match is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Towards the end.
    Forward,
    /// Towards the beginning.
    Backward,
}

/// A field of the form for a test message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray)]
pub enum Field {
    /// Who sends it.
    From,
    /// Who is to get it.
    To,
    /// What it is about.
    Subject,
    /// How long an attachment it has.
    Attachment,
    /// Its text.
    Body,
    /// The button that sends it.
    Send,
}

impl Field {
    /// In the order of the form.
    pub const ALL: &'static [Self] = Self::VARIANTS;
}

/// What the details of a queue entry have buttons for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Try it now.
    Retry,
    /// Hold it, or release it.
    Hold,
    /// Drop it, after a question.
    Drop,
    /// Show its message.
    View,
    /// Save its message.
    Save,
    /// Copy its recipient and the last reply.
    Copy,
    /// Show the entry before it, or after it.
    Other(Direction),
}

impl Deed {
    /// What a key does that does it.
    #[must_use]
    pub const fn action(self) -> Action {
        match self {
            Self::Retry => Action::Retry,
            Self::Hold => Action::Hold,
            Self::Drop => Action::Drop,
            Self::View => Action::ViewQueued,
            Self::Save => Action::SaveQueued,
            Self::Copy => Action::CopyLine,
            Self::Other(direction) => Action::OtherEntry(direction),
        }
    }
}

/// An answer to a question of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Do it.
    Yes,
    /// Leave it; the safe one.
    No,
}

/// Something a user did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Opens or closes the help.
    Help,
    /// Focuses a pane.
    Focus(Pane),
    /// Focuses the next pane.
    FocusNext,
    /// Focuses the pane before.
    FocusPrevious,
    /// Gives the focused pane the whole screen, or takes it back.
    Zoom,
    /// One live pane for each of the newest connections, or the one transcript again.
    Tiles,
    /// Takes back the latest of: overlay, filter, zoom, tiles, narrowing.
    Escape,
    /// Moves in the focused pane.
    Move(Step),
    /// Turns the wheel over a pane.
    Wheel(Pane, Direction),
    /// Clicks into a pane, on the n-th of the rows in view if on one.
    Click(Pane, Option<usize>),
    /// Clicks on what the command line offers, on the n-th of all.
    ClickOffer(usize),
    /// Begins to type a filter for the focused pane.
    Filter,
    /// Goes to another match.
    Find(Direction),
    /// Changes what is being typed.
    Edit(InputRequest),
    /// Completes the command that is being typed.
    Complete(Direction),
    /// Goes to another field of what is being composed.
    Field(Direction),
    /// Sends what is being composed.
    Submit,
    /// Enter, where something is typed or asked.
    Confirm,
    /// Answers a question.
    Answer(Answer),
    /// Marks the other answer.
    OtherAnswer,
    /// Narrows the transcript to the selected connection.
    OnlyThis,
    /// Shows all connections in the transcript again.
    AllConnections,
    /// Asks whether to close the selected connection.
    CloseConnection,
    /// Shows the selected queue entry whole.
    Details,
    /// Shows the message of the selected queue entry.
    ViewQueued,
    /// Saves it.
    SaveQueued,
    /// Shows the queue entry after the selected one, or before it.
    OtherEntry(Direction),
    /// Does something with the queue entry whose details are shown beside the queue.
    WithEntry(Deed),
    /// Marks the selected thing, or takes its mark away: keys are for all that are marked.
    Mark,
    /// Marks everything that is shown, or takes the marks away.
    MarkAll,
    /// Shows the focused list in another order.
    Sort,
    /// Starts a relay run for everybody who waits.
    RelayRun,
    /// Tries the selected queue entry now.
    Retry,
    /// Tries the n-th of the queue's rows in view now.
    RetryRow(usize),
    /// Holds the selected queue entry, or releases it.
    Hold,
    /// Asks whether to drop the selected queue entry.
    Drop,
    /// Freezes the transcript, or lets it go on.
    Pause,
    /// Follows the transcript's end, or stops following.
    Follow,
    /// Time stamps: seconds, milliseconds, none.
    Stamps,
    /// Wraps long transcript rows, or cuts them.
    Wrap,
    /// Shows message text line by line, or only how much it was.
    Bodies,
    /// Shows passwords, or masks them.
    Passwords,
    /// Shows how lines look on the wire, or as headless `-v` prints them.
    Wire,
    /// Goes to another tile.
    OtherTile(Direction),
    /// Copies the selected row to the clipboard.
    CopyLine,
    /// Copies all rows of the selected connection to the clipboard.
    CopyConnection,
    /// Saves the transcript rows that the filters let through.
    Save,
    /// Lists the messages of the selected mailbox.
    OpenMailbox,
    /// Asks for the name of a new mailbox.
    NewMailbox,
    /// Shows the selected message.
    OpenMessage,
    /// Shows the message after the shown one, or before it.
    OtherMessage(Direction),
    /// Shows the message in the next of its shapes: text, HTML, as it is.
    NextShape,
    /// Opens the HTML of the shown message in the browser.
    Browse,
    /// Shows all header fields, or the usual ones.
    AllHeaders,
    /// Saves the selected message, or the shown one.
    SaveMessage,
    /// Asks which attachments to save.
    SaveAttachments,
    /// Saves the n-th attachment.
    SaveAttachment(usize),
    /// Asks whether to delete the selected message, or the shown one.
    DeleteMessage,
    /// Clicks into what is read, on the n-th of the rows in view if on one.
    ClickReader(Option<usize>),
    /// Turns the wheel over what is read.
    WheelReader(Direction),
    /// Opens the form for a test message.
    Compose,
    /// Clicks on a field of the form; in the text, on the n-th of the lines in view.
    ClickField(Field, usize),
    /// Opens or closes the servers' popup.
    Servers,
    /// Starts or stops the selected server, or asks for the selected setting's value.
    Change,
    /// Starts the selected server.
    StartServer,
    /// Stops the selected server.
    StopServer,
    /// Stops the selected server and starts it again.
    RestartServer,
    /// Selects the n-th row of the servers' popup.
    ServerRow(usize),
    /// Begins to type a command.
    CommandLine,
    /// Opens or closes the first steps.
    FirstSteps,
    /// The next colours.
    Theme,
    /// Whether the mouse is the program's or the terminal's.
    Mouse,
    /// Paints everything anew.
    Redraw,
    /// Stops the process as a shell's job.
    Suspend,
    /// Quits; asks first while a connection is open.
    Quit,
    /// Quits, asking nothing.
    QuitNow,
}

/// What the screen asks of the program around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Close the connection of this id.
    Close(u64),
    /// Have the relay do something.
    Relay(Request),
    /// Something about mailboxes and messages.
    MailroomRequest(MailroomRequest),
    /// Start or stop a server.
    Server(ServerOrder),
    /// Change a setting.
    Set(Setting),
    /// Put this on the clipboard; it holds nothing that drives a terminal.
    Copy(String),
    /// Save the transcript rows to a new file, of this name or of a made-up one.
    Save(Option<PathBuf>),
    /// Move in the log, whose position the log's own widget keeps.
    ScrollLog(Step),
    /// Take or give back the mouse, as the state now says.
    Mouse,
    /// Paint everything anew.
    Redraw,
    /// Give the terminal back and stop.
    Suspend,
    /// End.
    Quit,
}
