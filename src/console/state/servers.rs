//! The actions of the servers' popup: selecting a row, and changing a server or a setting.

use crate::console::action::{Command, Step};
use crate::console::setting;
use crate::console::state::State;
use crate::console::state::overlay::{Overlay, Question};
use crate::console::state::prompt::{Prompt, Purpose};
use crate::console::state::server::{PopupRow, Server};
use crate::servers::profile::Profile;
use crate::servers::settings::{SettingName, SettingsView};
use crate::servers::supervisor::{Change, ServerOrder, ServerView};

impl State {
    /// Takes over the current settings.
    pub fn settings_are(&mut self, settings: SettingsView) {
        self.checklist.ehlo_is_answered(settings.choices.rules().smtp.answers_ehlo);
        self.settings = settings;
    }

    /// The name of the profile that new sessions follow, unless it is the default.
    #[must_use]
    pub fn profile_badge(&self) -> Option<&'static str> {
        let profile = self.settings.choices.profile;
        (profile != Profile::default()).then(|| profile.name())
    }

    /// Takes over the state of the servers.
    pub fn servers_are<'a>(&mut self, views: impl IntoIterator<Item = &'a ServerView>) {
        self.servers = views.into_iter().map(Server::from).collect();
    }

    /// The rows of the popup.
    pub fn popup_rows(&self) -> impl Iterator<Item = PopupRow> + use<> {
        let servers = (0..self.servers.len()).map(PopupRow::Server);
        servers.chain(SettingName::ALL.map(PopupRow::Setting))
    }

    fn selected_row(&self) -> Option<PopupRow> {
        let Overlay::Servers { at } = self.overlay else {
            return None;
        };
        self.popup_rows().nth(at)
    }

    pub(super) fn step_in_servers(&mut self, step: Step) {
        let last = self.popup_rows().count().saturating_sub(1);
        if let Overlay::Servers { at } = &mut self.overlay {
            *at = match step {
                Step::Up => at.saturating_sub(1),
                Step::Down => (*at + 1).min(last),
                Step::First | Step::PageUp | Step::HalfPageUp => 0,
                Step::Last | Step::PageDown | Step::HalfPageDown => last,
            };
        }
    }

    pub(super) fn select_in_servers(&mut self, row: usize) {
        if let Overlay::Servers { at } = &mut self.overlay {
            *at = row;
        }
    }

    /// Starts or stops the selected server, or asks for a value of the selected setting.
    pub(super) fn change(&mut self) -> Option<Command> {
        match self.selected_row()? {
            PopupRow::Server(nth) => {
                let runs = self.servers.get(nth)?.runs();
                self.order_server(if runs { Change::Stop } else { Change::Start })
            }
            PopupRow::Setting(name) => {
                let value = setting::typed(name, &self.settings);
                self.prompt = Some(Prompt::new(Purpose::Setting(name), &value));
                None
            }
        }
    }

    pub(super) fn order_server(&mut self, what: Change) -> Option<Command> {
        let Some(PopupRow::Server(nth)) = self.selected_row() else {
            self.say("A setting is selected: ⏎ changes it. ↑ goes to the servers.");
            return None;
        };
        let service = self.servers.get(nth)?.service;
        self.give_order(ServerOrder { service, what })
    }

    /// Asks for confirmation if the order ends open connections.
    pub(super) fn give_order(&mut self, order: ServerOrder) -> Option<Command> {
        let open = self.open(Some(order.service));
        if order.what != Change::Start && open > 0 {
            self.ask(Question::Stop { order, open });
            return None;
        }
        Some(Command::Server(order))
    }
}
