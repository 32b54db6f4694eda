//! `posthouse serve` as a service: the real program, what operators ask it, and what the system does to it.
#![expect(clippy::disallowed_methods, reason = "a world: it owns processes, sockets and files")]
#![expect(clippy::indexing_slicing, reason = "a test: JSON that is not as expected is a failure")]

mod auth_http;
mod client_certificates;
mod draining;
mod limits;
mod login_forms;
mod maps;
mod metrics;
mod node;
mod oauth;
mod privileges;
mod reload;
mod sessions;
mod systemd;
mod trace;

use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = vec![
        trial("a_kick_is_told_and_ends_the_session", sessions::kick),
        trial("counters_move_when_mail_comes", metrics::counters_move),
        trial("a_node_that_drains_says_so", draining::status),
        trial("messages_under_way_come_to_their_end", draining::messages_come_to_their_end),
        trial("a_service_manager_is_told", systemd::told),
        trial("a_watchdog_of_another_process_is_not_fed", systemd::not_for_us),
        trial("an_unknown_user_is_a_reason_not_to_start", privileges::unknown),
        Trial::ignorable_test("root_is_given_up_once_the_sockets_are_bound", privileges::given_up),
        trial("an_account_has_so_many_sessions", limits::sessions_of_an_account),
        trial("a_client_has_so_many_logins", limits::logins),
        trial("so_many_may_be_there_without_a_login", limits::strangers),
        trial("sighup_changes_what_can_change", reload::what_can_change_does),
        trial("sighup_changes_nothing_else", reload::what_waits_changes_nothing),
        trial("sighup_reads_certificates_again", reload::certificates_follow_their_files),
        trial("a_client_certificate_lets_its_holder_in", client_certificates::let_their_holders_in),
        trial("a_map_is_followed_while_mail_comes", maps::followed),
        trial("a_map_places_and_moves_nobody", maps::places),
        trial("an_http_server_says_who_may_log_in_and_where", auth_http::decides),
        trial("an_http_server_is_asked_over_tls", auth_http::decides_over_tls),
        trial("the_issuer_of_a_token_says_what_it_is_worth", oauth::judges),
        trial("a_bare_name_means_the_domain_of_where_the_client_is", login_forms::by_address),
        trial("maps_go_over_to_the_directory", maps::taken_over),
        trial("users_of_a_passwd_file_log_in_and_get_mail", maps::accounts),
        trial("mail_waits_for_a_map_that_was_never_read", maps::awaited),
        trial("one_id_from_the_sender_to_the_mailbox", trace::one_id),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(name: &str, run: fn()) -> Trial {
    Trial::test(name, move || {
        run();
        Ok(())
    })
}
