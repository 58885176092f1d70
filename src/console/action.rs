//! What a user can ask of the screen ([`Action`]), and what the screen then asks of the program
//! ([`Command`]). Plain values, independent of keys and servers.

use std::path::PathBuf;

use strum::VariantArray;
use tui_input::InputRequest;

use crate::mailroom::MailroomRequest;
pub use crate::relay::orders::QueueTarget;
pub use crate::relay::postmaster::Request;
pub use crate::servers::holds::{Decision, WhichHeld};
pub use crate::servers::settings::{Setting, SettingName};
pub use crate::servers::supervisor::{Change, ServerOrder};

/// One of the panes that have a number key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, VariantArray)]
pub enum Pane {
    /// The open connections and the recently closed ones.
    Connections,
    /// What clients and servers say on the connections.
    Transcript,
    /// The mailboxes of the mail directory.
    Mailboxes,
    /// The relay queue.
    Queue,
    /// The program's own diagnostics.
    Log,
}

impl Pane {
    /// All panes, in the order of their numbers.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The number and the name of the pane, as in its title.
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

/// The part of the screen that receives keys while no question, help or prompt is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Context {
    /// A pane.
    Pane(Pane),
    /// The list of messages of the open mailbox.
    Messages,
    /// The open message.
    Message,
    /// The servers' popup.
    Servers,
    /// The popup of the faults.
    Faults,
    /// The strip of what is held at breakpoints.
    Held,
}

/// How far a move in a list goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// One row towards the beginning.
    Up,
    /// One row towards the end.
    Down,
    /// Half a page towards the beginning.
    HalfPageUp,
    /// Half a page towards the end.
    HalfPageDown,
    /// A page towards the beginning.
    PageUp,
    /// A page towards the end.
    PageDown,
    /// To the first row.
    First,
    /// To the last row; the transcript follows its end again.
    Last,
}

/// The direction of a search, of a turn of the wheel, or of a step to a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Towards the end.
    Forward,
    /// Towards the beginning.
    Backward,
}

/// A field of the form for a test message, in the order of the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray)]
pub enum Field {
    /// The address of the sender.
    From,
    /// The addresses of the recipients.
    To,
    /// The subject.
    Subject,
    /// The size of the attachment.
    Attachment,
    /// The text of the message.
    Body,
    /// The button that sends the message.
    Send,
}

impl Field {
    /// All fields, in the order of the form.
    pub const ALL: &'static [Self] = Self::VARIANTS;
}

/// What the buttons in the details of a queue entry do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryAction {
    /// Try to deliver it now.
    Retry,
    /// Hold it, or release it if it is held.
    Hold,
    /// Drop it, after a confirmation.
    Drop,
    /// Show its message.
    View,
    /// Save its message.
    Save,
    /// Copy its recipient and the last reply to the clipboard.
    Copy,
    /// Show the next entry, or the previous one.
    Other(Direction),
}

impl EntryAction {
    /// The action of the key that does the same.
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

/// An answer to a confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Do what was asked.
    Yes,
    /// Do nothing. This is the safe answer, which is marked at first.
    No,
}

/// Something a user does, with a key, the mouse or a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Opens or closes the help.
    Help,
    /// Focuses a pane.
    Focus(Pane),
    /// Focuses the next pane.
    FocusNext,
    /// Focuses the previous pane.
    FocusPrevious,
    /// Gives the focused pane the whole screen, or goes back to all panes.
    Zoom,
    /// Shows a tile for each of the newest connections, or the single transcript again.
    Tiles,
    /// Undoes the latest of: overlay, filter, zoom, tiles, narrowing.
    Escape,
    /// Moves in the part of the screen that receives keys.
    Move(Step),
    /// Turns the mouse wheel over a pane.
    Wheel(Pane, Direction),
    /// Clicks into a pane: on the n-th row in view (from 0), or beside the rows (`None`).
    Click(Pane, Option<usize>),
    /// Clicks on the n-th of all offers of the command line, counted from 0.
    ClickOffer(usize),
    /// Opens the prompt for a filter of the focused pane.
    Filter,
    /// Goes to the next or the previous match.
    Find(Direction),
    /// Edits the line or the text that is being typed.
    Edit(InputRequest),
    /// Completes the command that is being typed, with the next or the previous candidate.
    Complete(Direction),
    /// Goes to the next or the previous field of the form.
    Field(Direction),
    /// Sends the message in the form.
    Submit,
    /// Enter, in a prompt, a question or the form.
    Confirm,
    /// Answers a question.
    Answer(Answer),
    /// Marks the other answer of a question.
    OtherAnswer,
    /// Narrows the transcript to the selected connection.
    OnlyThis,
    /// Shows all connections in the transcript again.
    AllConnections,
    /// Asks for confirmation and closes the selected connection.
    CloseConnection,
    /// Shows the details of the selected queue entry.
    Details,
    /// Shows the message of the selected queue entry.
    ViewQueued,
    /// Saves the message of the selected queue entry.
    SaveQueued,
    /// Shows the next or the previous queue entry.
    OtherEntry(Direction),
    /// Acts on the queue entry whose details are shown beside the queue.
    WithEntry(EntryAction),
    /// Marks the selected row, or unmarks it. Keys then act on all marked rows.
    Mark,
    /// Marks all rows that are shown, or unmarks them.
    MarkAll,
    /// Shows the focused list in the next sort order.
    Sort,
    /// Starts a relay run for all recipients in the queue.
    RelayRun,
    /// Tries to deliver the selected queue entry now.
    Retry,
    /// Tries to deliver the n-th of the queue's rows in view now.
    RetryRow(usize),
    /// Holds the selected queue entry, or releases it if it is held.
    Hold,
    /// Asks for confirmation and drops the selected queue entry.
    Drop,
    /// Freezes the transcript, or lets it continue.
    Pause,
    /// Follows the transcript's end, or stops following.
    Follow,
    /// Switches to the next form of the time stamps.
    Stamps,
    /// Wraps long transcript rows, or cuts them.
    Wrap,
    /// Shows message text line by line, or only its size.
    Bodies,
    /// Shows passwords, or masks them.
    Passwords,
    /// Shows lines as they are on the wire, or as `-v` prints them without the console.
    Wire,
    /// Chooses the next or the previous tile.
    OtherTile(Direction),
    /// Copies the selected row to the clipboard.
    CopyLine,
    /// Copies all rows of the selected connection to the clipboard.
    CopyConnection,
    /// Saves the transcript rows that pass the filters.
    Save,
    /// Lists the messages of the selected mailbox.
    OpenMailbox,
    /// Asks for the name of a new mailbox.
    NewMailbox,
    /// Shows the selected message.
    OpenMessage,
    /// Shows the next or the previous message.
    OtherMessage(Direction),
    /// Shows the message in its next form: text, HTML, source.
    NextShape,
    /// Opens the HTML of the shown message in the browser.
    Browse,
    /// Shows all header fields, or only the usual ones.
    AllHeaders,
    /// Saves the selected or the open message.
    SaveMessage,
    /// Asks which attachments are to be saved.
    SaveAttachments,
    /// Saves the n-th attachment, counted from 0.
    SaveAttachment(usize),
    /// Asks for confirmation and deletes the selected or the open message.
    DeleteMessage,
    /// Clicks into the open mailbox or message: on the n-th row in view, or beside the rows
    /// (`None`).
    ClickReader(Option<usize>),
    /// Turns the mouse wheel over the open mailbox or message.
    WheelReader(Direction),
    /// Opens the form for a test message.
    Compose,
    /// Clicks on a field of the form; for the text also which of its lines in view.
    ClickField(Field, usize),
    /// Opens or closes the servers' popup.
    Servers,
    /// Starts or stops the selected server, or asks for a new value of the selected setting.
    Change,
    /// Starts the selected server.
    StartServer,
    /// Stops the selected server.
    StopServer,
    /// Stops the selected server and starts it again.
    RestartServer,
    /// Selects the n-th row of the servers' popup, counted from 0.
    ServerRow(usize),
    /// Opens or closes the popup of the faults.
    Faults,
    /// Does something in the popup of the faults.
    Fault(FaultAction),
    /// Does something about breakpoints or what they hold.
    Held(HeldAction),
    /// Opens the command line.
    CommandLine,
    /// Opens or closes the first steps.
    FirstSteps,
    /// Switches to the next palette.
    Theme,
    /// Gives the mouse to the program or to the terminal.
    Mouse,
    /// Repaints the whole screen.
    Redraw,
    /// Suspends the process as a job of the shell, as Ctrl-Z does.
    Suspend,
    /// Quits; asks for confirmation while a connection is open or a relay run is under way.
    Quit,
    /// Quits without a question.
    QuitNow,
}

/// What a key does in the popup of the faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultAction {
    /// Switches the selected rule on or off.
    Switch,
    /// Asks for a rule.
    Add,
    /// Asks for confirmation and removes the selected rule.
    Remove,
    /// Sets counters and clocks of the selected rule back to the start.
    Reset,
    /// Shows the hits of the selected rule in the transcript.
    Hits,
    /// Selects the n-th rule, counted from 0.
    Select(usize),
}

/// What a key does about breakpoints or what they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldAction {
    /// Gives the keys to the strip of what is held.
    Focus,
    /// Selects the n-th that is held, counted from 0.
    Select(usize),
    /// Lets the selected one go.
    LetGo,
    /// Lets all go.
    LetAllGo,
    /// Asks for the line that goes on instead of the selected one.
    Edit,
    /// Ends the connection of the selected one.
    Kill,
    /// Drops the selected one.
    Drop,
    /// Asks for the answer to the selected one.
    Answer,
    /// Switches all breakpoints on or off.
    SwitchBreakpoints,
    /// Proposes a breakpoint at the selected row of the transcript.
    BreakHere,
}

/// An order about the faults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultOrder {
    /// Add this rule, or the rules of the scenario with this name.
    Add(String),
    /// Let the rule with this number act, or not.
    Switch(u64, bool),
    /// Remove the rule with this number.
    Remove(u64),
    /// Set its counters and clocks back to the start.
    Reset(u64),
}

/// An order about breakpoints and what they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldOrder {
    /// Add this breakpoint.
    Add(String),
    /// Remove this breakpoint, or all.
    Remove(Option<String>),
    /// Switch all breakpoints on or off.
    Switch(bool),
    /// This is decided about what is held.
    Decide(WhichHeld, Decision),
}

/// What the screen asks of the program around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Close the connection with this id.
    Close(u64),
    /// A request to the relay.
    Relay(Request),
    /// A request about mailboxes and messages.
    MailroomRequest(MailroomRequest),
    /// Start, stop or restart a server.
    Server(ServerOrder),
    /// Change a setting.
    Set(Setting),
    /// Do something with the faults that are played on purpose.
    Fault(FaultOrder),
    /// Do something with breakpoints, or with what they hold.
    Hold(HoldOrder),
    /// Put this on the clipboard. The text is escaped: it contains no control sequences.
    Copy(String),
    /// Save the transcript rows to a new file, with this name or (`None`) one made from the time.
    Save(Option<PathBuf>),
    /// Scroll the log. Its widget keeps the position, so the state cannot do it.
    ScrollLog(Step),
    /// Capture the mouse or release it, as the state now says.
    Mouse,
    /// Repaint the whole screen.
    Redraw,
    /// Give the terminal back and stop the process.
    Suspend,
    /// End the program.
    Quit,
}
