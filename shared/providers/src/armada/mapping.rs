//! Armada's statuses, in every documented spelling.

use domain::{Meaning, ProviderWord, Status, Step};

const STATUSES: [(&str, Status); 10] = [
    ("pending", Status::Pending),
    // v2 only: a driver is named, whether he moves is not said.
    ("accepted", Status::Assigned),
    // "Assigned and heading to the pickup"; what was joined here cannot be told apart later.
    ("dispatched", Status::EnRouteToPickup),
    ("waiting_pack", Status::AtPickup),
    ("en_route", Status::InTransit),
    // v0 documents `complete`, v1 and v2 `completed`.
    ("completed", Status::Delivered),
    ("complete", Status::Delivered),
    ("canceled", Status::Canceled),
    ("cancelled", Status::Canceled),
    // The fold adds why: before the pickup nobody was found, after it the driver gave up.
    ("failed", Status::Failed),
];

/// What an Armada status means. Case, blanks around it and blanks for `_` do not matter.
pub(super) fn meaning(word: &ProviderWord) -> Meaning {
    let sent = word.status.as_deref().unwrap_or_default().trim();
    let known = STATUSES
        .iter()
        .find(|(spelling, _)| is_spelled(sent, spelling));
    let Some(&(_, status)) = known else {
        return Meaning::Unknown;
    };
    Meaning::Reached(Step {
        status,
        reason: None,
        takes_back: false,
    })
}

fn is_spelled(sent: &str, spelling: &str) -> bool {
    let alike = |(sent, known): (u8, u8)| {
        sent.eq_ignore_ascii_case(&known) || (sent == b' ' && known == b'_')
    };
    sent.len() == spelling.len() && sent.bytes().zip(spelling.bytes()).all(alike)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_spelling_is_known() {
        for (spelled, status) in [
            ("pending", Status::Pending),
            ("accepted", Status::Assigned),
            ("dispatched", Status::EnRouteToPickup),
            ("waiting_pack", Status::AtPickup),
            ("en_route", Status::InTransit),
            ("en route", Status::InTransit),
            ("completed", Status::Delivered),
            ("complete", Status::Delivered),
            ("canceled", Status::Canceled),
            ("cancelled", Status::Canceled),
            ("failed", Status::Failed),
            (" Dispatched ", Status::EnRouteToPickup),
        ] {
            let word = ProviderWord {
                event: None,
                status: Some(spelled.to_owned()),
            };
            assert_eq!(
                meaning(&word),
                Meaning::Reached(Step {
                    status,
                    reason: None,
                    takes_back: false
                }),
                "{spelled}"
            );
        }
    }

    #[test]
    fn anything_else_is_unknown_and_never_guessed() {
        for spelled in ["", "teleported", "delivered", "complete_"] {
            let word = ProviderWord {
                event: None,
                status: Some(spelled.to_owned()),
            };
            assert_eq!(meaning(&word), Meaning::Unknown, "{spelled}");
        }
        assert_eq!(
            meaning(&ProviderWord {
                event: None,
                status: None
            }),
            Meaning::Unknown
        );
    }
}
