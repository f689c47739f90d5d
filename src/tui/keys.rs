//! The keys: one table, from which keys are looked up and the help is drawn.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::app::Tab;

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Quit,
    Suspend,
    Redraw,
    Help,
    Tab(Tab),
    NextTab,
    LastTab,
    Up,
    Down,
    PageUp,
    PageDown,
    HalfUp,
    HalfDown,
    Top,
    Bottom,
    Open,
    Back,
    Fold,
    Unfold,
    Follow,
    Pause,
    Sort,
    Group,
    Filter,
    ClearFilter,
    FilterBySame,
    Mark,
    MarkAll,
    Mute,
    Undo,
    Export,
    Copy,
    Reveal,
    Next,
    Previous,
    Faster,
    Slower,
    Reload,
    Theme,
    Mouse,
}

/// Where a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Everywhere,
    Lists,
    Detail,
    Files,
}

impl Place {
    pub(super) const ALL: [Self; 4] = [Self::Lists, Self::Detail, Self::Files, Self::Everywhere];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Everywhere => "Everywhere",
            Self::Lists => "In lists",
            Self::Detail => "In a leak",
            Self::Files => "Over files (-r)",
        }
    }
}

/// One line of the table.
pub(super) struct Binding {
    pub(super) place: Place,
    /// The keys, as [`name`] calls them.
    pub(super) keys: &'static [&'static str],
    pub(super) action: Action,
    pub(super) about: &'static str,
    /// A word for the bottom line; empty where the help alone names it.
    pub(super) hint: &'static str,
}

const fn bind(
    place: Place,
    keys: &'static [&'static str],
    action: Action,
    about: &'static str,
    hint: &'static str,
) -> Binding {
    Binding { place, keys, action, about, hint }
}

use Place::{Detail, Everywhere, Files, Lists};

pub(super) const KEYS: &[Binding] = &[
    bind(Lists, &["enter"], Action::Open, "look at the leak; open or close the group", "open"),
    bind(Lists, &["j", "down"], Action::Down, "down", ""),
    bind(Lists, &["k", "up"], Action::Up, "up", ""),
    bind(Lists, &["ctrl-d"], Action::HalfDown, "half a page down", ""),
    bind(Lists, &["ctrl-u"], Action::HalfUp, "half a page up", ""),
    bind(Lists, &["pgdn", "ctrl-f"], Action::PageDown, "a page down", ""),
    bind(Lists, &["pgup", "ctrl-b"], Action::PageUp, "a page up", ""),
    bind(Lists, &["g", "home"], Action::Top, "to the top; there what is new is followed", ""),
    bind(Lists, &["G", "end"], Action::Bottom, "to the end", ""),
    bind(Lists, &["f"], Action::Follow, "follow what is new", ""),
    bind(Lists, &["l", "right"], Action::Unfold, "open the group", ""),
    bind(Lists, &["h", "left"], Action::Fold, "close the group", ""),
    bind(Lists, &["s"], Action::Sort, "the newest or the worst first", "sort"),
    bind(Lists, &["v"], Action::Group, "leaks by secret, by endpoint, by client, or each", "group"),
    bind(
        Lists,
        &["/"],
        Action::Filter,
        "filter and search; Tab completes, up and down bring old ones",
        "filter",
    ),
    bind(Lists, &["="], Action::FilterBySame, "filter by the chosen group, or by the secret of the leak", ""),
    bind(Lists, &["\\"], Action::ClearFilter, "no filter", ""),
    bind(Lists, &["t", "insert"], Action::Mark, "mark the leak or group for export", ""),
    bind(Lists, &["*"], Action::MarkAll, "mark all that is listed, or none", ""),
    bind(Lists, &["esc"], Action::Back, "marks off, then the filter", ""),
    bind(Detail, &["esc", "q", "backspace", "h", "left"], Action::Back, "back to the list", "back"),
    bind(Detail, &["j", "down"], Action::Down, "down", ""),
    bind(Detail, &["k", "up"], Action::Up, "up", ""),
    bind(Detail, &["ctrl-d"], Action::HalfDown, "half a page down", ""),
    bind(Detail, &["ctrl-u"], Action::HalfUp, "half a page up", ""),
    bind(Detail, &["pgdn", "ctrl-f"], Action::PageDown, "a page down", ""),
    bind(Detail, &["pgup", "ctrl-b"], Action::PageUp, "a page up", ""),
    bind(Detail, &["g", "home"], Action::Top, "to the top", ""),
    bind(Detail, &["G", "end"], Action::Bottom, "to the end", ""),
    bind(Detail, &["n", "]", "J"], Action::Next, "the next leak of the list", "next"),
    bind(Detail, &["p", "[", "K"], Action::Previous, "the one before", "previous"),
    bind(Detail, &["r"], Action::Reveal, "reveal the secret: asks first, hides it again by itself", "reveal"),
    bind(Detail, &["="], Action::FilterBySame, "list all leaks of this secret", ""),
    bind(Everywhere, &["m"], Action::Mute, "mute its rule, endpoint, secret, or it alone", "mute"),
    bind(Everywhere, &["u"], Action::Undo, "take the last mute back", ""),
    bind(Everywhere, &["x"], Action::Export, "export what is marked, or chosen, or all listed", "export"),
    bind(Everywhere, &["y"], Action::Copy, "copy to the terminal's clipboard (OSC 52)", "copy"),
    bind(Everywhere, &["1"], Action::Tab(Tab::Leaks), "leaks", ""),
    bind(Everywhere, &["2"], Action::Tab(Tab::Secrets), "secrets", ""),
    bind(Everywhere, &["3"], Action::Tab(Tab::Endpoints), "endpoints", ""),
    bind(Everywhere, &["4"], Action::Tab(Tab::Flows), "flows", ""),
    bind(Everywhere, &["5"], Action::Tab(Tab::Health), "health", ""),
    bind(Everywhere, &["tab"], Action::NextTab, "the next of these", ""),
    bind(Everywhere, &["backtab"], Action::LastTab, "the one before", ""),
    bind(Everywhere, &["space"], Action::Pause, "let lists stand still; over files, stop reading", "pause"),
    bind(
        Everywhere,
        &["R"],
        Action::Reload,
        "read the rules again (so does SIGHUP, and a change of their files)",
        "",
    ),
    bind(Everywhere, &["T"], Action::Theme, "theme: dark, light, none", ""),
    bind(Everywhere, &["M"], Action::Mouse, "give the mouse to the terminal, to select text; and back", ""),
    bind(Everywhere, &["ctrl-l"], Action::Redraw, "draw all anew", ""),
    bind(Everywhere, &["?", "f1"], Action::Help, "this page", "help"),
    bind(Everywhere, &["ctrl-z"], Action::Suspend, "suspend", ""),
    bind(Everywhere, &["q", "ctrl-c"], Action::Quit, "quit", "quit"),
    bind(Files, &["+", ">"], Action::Faster, "faster", ""),
    bind(Files, &["-", "<"], Action::Slower, "slower", ""),
];

/// What a key does at one of these places; the first that knows it decides.
pub(super) fn action(key: KeyEvent, places: &[Place]) -> Option<Action> {
    let name = name(key)?;
    places.iter().find_map(|place| {
        let found =
            KEYS.iter().find(|binding| binding.place == *place && binding.keys.contains(&name.as_str()));
        found.map(|binding| binding.action)
    })
}

/// `j`, `G`, `ctrl-d`, `pgdn` …
pub(super) fn name(key: KeyEvent) -> Option<String> {
    let named = match key.code {
        KeyCode::Char(' ') => "space".to_owned(),
        KeyCode::Char(letter) => letter.to_string(),
        KeyCode::Enter => "enter".to_owned(),
        KeyCode::Esc => "esc".to_owned(),
        KeyCode::Up => "up".to_owned(),
        KeyCode::Down => "down".to_owned(),
        KeyCode::Left => "left".to_owned(),
        KeyCode::Right => "right".to_owned(),
        KeyCode::Home => "home".to_owned(),
        KeyCode::End => "end".to_owned(),
        KeyCode::PageUp => "pgup".to_owned(),
        KeyCode::PageDown => "pgdn".to_owned(),
        KeyCode::Tab if key.modifiers.contains(KeyModifiers::SHIFT) => "backtab".to_owned(),
        KeyCode::Tab => "tab".to_owned(),
        KeyCode::BackTab => "backtab".to_owned(),
        KeyCode::Backspace => "backspace".to_owned(),
        KeyCode::Delete => "delete".to_owned(),
        KeyCode::Insert => "insert".to_owned(),
        KeyCode::F(number) => format!("f{number}"),
        _ => return None,
    };
    if key.modifiers.intersects(KeyModifiers::ALT | KeyModifiers::SUPER | KeyModifiers::META) {
        return None;
    }
    Some(if key.modifiers.contains(KeyModifiers::CONTROL) {
        format!("ctrl-{}", named.to_ascii_lowercase())
    } else {
        named
    })
}

/// How a key is written for people.
pub(super) fn shown(name: &str) -> String {
    match name {
        "up" => "↑".to_owned(),
        "down" => "↓".to_owned(),
        "left" => "←".to_owned(),
        "right" => "→".to_owned(),
        "backtab" => "Shift-Tab".to_owned(),
        "space" | "enter" | "esc" | "tab" | "home" | "end" | "insert" | "backspace" | "f1" => {
            let (first, rest) = name.split_at(1);
            format!("{}{rest}", first.to_ascii_uppercase())
        }
        "pgup" => "PgUp".to_owned(),
        "pgdn" => "PgDn".to_owned(),
        other => match other.strip_prefix("ctrl-") {
            Some(letter) => format!("Ctrl-{}", letter.to_ascii_uppercase()),
            None => other.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_at_one_place() {
        for (index, binding) in KEYS.iter().enumerate() {
            assert!(!binding.about.is_empty() && !binding.keys.is_empty());
            for other in KEYS.iter().skip(index + 1).filter(|other| other.place == binding.place) {
                let double = binding.keys.iter().find(|key| other.keys.contains(key));
                assert_eq!(double, None, "{:?} and {:?}", binding.action, other.action);
            }
        }
    }

    #[test]
    fn keys_are_found_where_they_hold() {
        let key = |code, modifiers| KeyEvent::new(code, modifiers);
        let none = KeyModifiers::NONE;
        let lists = [Place::Lists, Place::Everywhere];
        let detail = [Place::Detail, Place::Everywhere];
        for (event, places, expected) in [
            (key(KeyCode::Char('j'), none), lists, Some(Action::Down)),
            (key(KeyCode::Char('G'), KeyModifiers::SHIFT), lists, Some(Action::Bottom)),
            (key(KeyCode::Char('q'), none), lists, Some(Action::Quit)),
            (key(KeyCode::Char('q'), none), detail, Some(Action::Back)),
            (key(KeyCode::Char('c'), KeyModifiers::CONTROL), detail, Some(Action::Quit)),
            (key(KeyCode::Char('r'), none), lists, None),
            (key(KeyCode::Char('r'), none), detail, Some(Action::Reveal)),
            (key(KeyCode::BackTab, KeyModifiers::SHIFT), lists, Some(Action::LastTab)),
            (key(KeyCode::Char('j'), KeyModifiers::ALT), lists, None),
            (key(KeyCode::Null, none), lists, None),
        ] {
            assert_eq!(action(event, &places), expected, "{event:?}");
        }
        assert_eq!([shown("ctrl-d"), shown("pgdn"), shown("space")], ["Ctrl-D", "PgDn", "Space"]);
    }
}
