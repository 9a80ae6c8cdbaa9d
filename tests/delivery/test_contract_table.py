"""The contract of webhooks, line by line, and the tests that show each line. A test that is not there is an error.

Registration through REST and the portal is shown where those are.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from pipelines.delivery import endpoints
from pipelines.delivery.deliver import Control
from pipelines.delivery.worker import drain
from pipelines.storage.control import writing
from tests.delivery.receivers import FakeClock, add_endpoint, fill, make_worker, receiver

HERE = Path(__file__).parent

#: Section -> line -> tests, as ``file:name`` without ``test_``; a file of another folder with its path below ``tests``.
CONTRACT: dict[str, dict[str, tuple[str, ...]]] = {
    "envelope": {
        "every attribute, in order; specversion 1.0": ("signing:the_envelope_has_every_attribute_in_order",),
        "id is the event's: same on every attempt and replay": (
            "worker:what_fails_is_tried_again_later_with_the_same_id_and_a_new_timestamp",
            "cli:replay_of_one_and_of_a_span",
        ),
        "id follows from transition or crossing, kind and generation": (
            "event_log:a_transition_of_the_newest_day_is_sent_once",
            "event_log:what_was_sent_is_retracted_aloud_and_told_again_when_true_again",
        ),
        "source names the configured public host and the tenant": (
            "signing:the_envelope_has_every_attribute_in_order",
            "independent:the_python_sdk_of_cloudevents_reads_an_event",
        ),
        "every type of the catalogue, with schema and example": (
            "event_pages:the_catalogue_has_every_type_of_the_contract",
            "event_pages:examples_are_valid_and_show_every_required_field",
        ),
        "cohort events and their retractions": (
            "event_log:a_transition_of_the_newest_day_is_sent_once",
            "event_log:an_exit_is_retracted_as_an_exit",
            "payload:a_retraction_repeats_the_data_and_names_what_it_takes_back",
        ),
        "signal.threshold_crossed and signal.crossing_retracted": (
            "step:crossings_are_told_and_those_that_are_held_back_are_not",
            "step:a_crossing_that_did_not_happen_is_taken_back",
            "step:a_crossing_of_a_person_names_both_where_they_are_linked",
        ),
        "export.published and export.restated, backfills withheld": (
            "published:a_new_day_is_published_and_a_new_revision_restates_it",
            "published:a_later_backfill_is_withheld_and_its_restatement_is_not",
            "published:the_outbox_takes_over_what_was_published_once",
        ),
        "endpoint.disabled, endpoint.recovered, delivery.exhausted": (
            "operator:an_operator_event_keeps_its_contract_and_hides_the_url",
            "breaker:an_operator_is_told_of_an_end_a_recovery_and_dead_letters",
            "breaker:an_operators_own_dead_letters_are_told_to_nobody",
        ),
        "subject is visitor, customer: or product:, no contact detail": (
            "outbox:a_customer_is_the_subject_by_its_own_name",
            "step:crossings_are_told_and_those_that_are_held_back_are_not",
            "event_pages:no_example_holds_a_contact_detail",
        ),
        "time and recordedtime, RFC 3339 UTC": ("signing:the_envelope_has_every_attribute_in_order",),
        "dataschema is the URL of the schema of data, with its version": (
            "signing:the_envelope_has_every_attribute_in_order",
            "event_pages:the_pages_are_what_make_docs_writes",
        ),
        "partitionkey and sequence order events": (
            "outbox:the_sequence_follows_the_order_of_telling",
            "signing:the_envelope_has_every_attribute_in_order",
        ),
        "timestamp is of the attempt and signed anew": (
            "worker:what_fails_is_tried_again_later_with_the_same_id_and_a_new_timestamp",
        ),
        "data: cohort, visitor or null, customer where linked, context, money twice": (
            "payload:a_cohort_event_carries_its_context",
            "payload:a_customer_without_a_link_has_a_null_visitor_and_its_own_id",
            "payload:money_is_exact_text_with_the_digits_of_its_currency",
            "payload:every_field_that_is_sent_is_in_the_contract_with_its_type",
        ),
        "supersedes on a retraction": (
            "event_log:what_was_sent_is_retracted_aloud_and_told_again_when_true_again",
            "payload:retractions_require_what_they_supersede",
        ),
        "content type; never ce-* headers": (
            "formats:one_event_is_a_cloudevent",
            "manners:no_request_is_in_binary_mode",
            "own_headers:reserved_names_are_refused",
        ),
        "compact JSON; no NaN; 64 KiB; a warning above 20 kB": (
            "signing:the_body_of_the_vector_is_written_as_we_write_bodies",
            "signing:a_number_that_is_not_finite_is_refused",
            "signing:a_body_above_64_kib_is_refused",
            "formats:a_large_event_is_sent_with_a_warning_that_repeats_no_data",
        ),
        "batches only where an endpoint asks": (
            "manners:batches_only_where_they_are_asked_for",
            "formats:requests_take_what_fits_into_64_kib_to_the_byte",
            "manners:of_a_refused_batch_each_event_is_tried_again_alone",
        ),
        "other libraries read it": (
            "independent:the_python_sdk_of_cloudevents_reads_an_event",
            "independent:the_node_sdk_of_cloudevents_reads_events_and_batches",
        ),
    },
    "headers and signatures": {
        "Standard Webhooks, Flock and the idempotency key at once; the check vector": (
            "signing:the_check_vector_is_reproduced_byte_for_byte",
            "independent:standard_webhooks_takes_what_is_sent_and_nothing_that_was_changed",
        ),
        "the secret is shown once and is whsec_ with 32 bytes": (
            "cli:from_an_endpoint_to_a_verified_line",
            "signing:the_check_vector_is_reproduced_byte_for_byte",
            "signing:a_secret_of_another_form_is_refused_without_being_repeated",
        ),
        "rotation: both sign for 24 h, 0 h when revoked": (
            "independent:both_secrets_verify_for_a_day_after_a_rotation_and_none_of_before_after_it",
            "worker:two_secrets_sign_for_a_day_and_then_the_new_one_alone",
            "worker:revoking_ends_the_old_secret_at_once",
        ),
        "encrypted at rest, never logged": (
            "faults:no_secret_in_logs_ledger_or_database",
            "control:a_secret_opens_with_its_key_and_its_owner_alone",
            "own_headers:values_are_encrypted_at_rest_and_only_names_are_shown",
        ),
        "the receiver's helper: constant time, 5 minutes, 401, 400, 200, standard library": (
            "receiver:a_missing_signature_is_401",
            "receiver:anything_that_was_changed_is_400",
            "receiver:too_old_or_too_new_is_400",
            "receiver:a_good_request_is_answered_200",
            "receiver:the_helper_needs_the_standard_library_alone",
        ),
        "a runnable example receiver": (
            "examples:the_receiver_handles_each_event_once_across_a_restart",
            "examples:the_code_in_the_guide_answers_as_the_contract_says",
        ),
    },
    "delivery": {
        "total deadline": (
            "worker:a_receiver_that_does_not_answer_in_time_is_a_timeout",
            "hostile:a_hostile_receiver_costs_neither_time_nor_memory",
        ),
        "2xx headers are success; at most 64 KiB are read": ("hostile:no_more_than_the_cap_is_read",),
        "what is retried, and when": (
            "retry:what_may_pass_is_tried_again",
            "retry:errors_of_the_network_are_tried_again",
            "retry:the_schedule_from_the_first_attempt_to_the_dead_letter",
            "retry:the_next_attempt_has_at_most_a_tenth_of_jitter_and_keeps_the_deadline",
        ),
        "24 h, then a dead letter": ("worker:after_24_hours_it_is_a_dead_letter_that_can_be_replayed",),
        "other 4xx and 3xx: a dead letter at once, no redirect followed": (
            "retry:what_will_not_pass_is_a_dead_letter_at_once",
            "worker:a_redirect_is_never_followed",
            "hostile:a_redirect_to_a_private_address_is_not_followed",
        ),
        "410 disables": ("worker:410_disables_the_endpoint_and_keeps_the_rest",),
        "Retry-After in seconds or as a date, clamped; garbage ignored": (
            "retry:retry_after_is_kept_and_pauses_the_endpoint",
            "retry:retry_after_as_a_date",
            "retry:an_absurd_retry_after_is_clamped_to_the_deadline",
            "retry:garbage_in_retry_after_is_ignored",
            "hostile:retry_after_is_heeded_clamped_or_ignored",
        ),
        "429 and 503 pause the endpoint": ("worker:429_pauses_the_endpoint_and_not_the_message_alone",),
        "concurrency, rate, breaker with one probe": (
            "worker:one_endpoint_has_at_most_its_places_at_once",
            "breaker:no_second_has_more_attempts_than_the_rate_and_a_burst",
            "breaker:an_open_endpoint_gets_one_probe_at_a_time_and_then_everything",
        ),
        "retries never starve first attempts": ("worker:retries_and_first_attempts_share_the_places_of_an_endpoint",),
        "one hung endpoint slows no other": (
            "manners:an_endpoint_that_hangs_slows_no_other",
            "hostile:a_name_server_that_hangs_slows_no_other_endpoint",
        ),
        "disabled or suspended: kept and replayable; deleted: cancelled": (
            "meanwhile:a_disabled_endpoint_keeps_its_retry_until_it_is_enabled",
            "outbox:a_deleted_endpoint_cancels_and_a_disabled_one_keeps",
            "webhook_options:a_suspended_endpoint_is_enabled_again_and_a_removed_one_is_not",
            "contract_table:a_suspended_endpoint_keeps_what_comes",
        ),
        "replay of one and of a span, same id": (
            "cli:replay_of_one_and_of_a_span",
            "outbox:a_span_is_replayed_with_what_was_never_sent",
        ),
        "ledger of every attempt, redacted": (
            "worker:the_ledger_keeps_a_short_redacted_answer",
            "redaction:secrets_and_contact_details_in_an_answer_are_not_kept",
            "redaction:a_long_answer_is_cut_to_one_kib_without_half_a_secret",
            "redaction:a_url_is_kept_without_user_query_and_fragment",
        ),
        "fan-out: unique, one transaction": (
            "outbox:events_become_deliveries_of_the_endpoints_that_want_them",
            "outbox:fillers_at_once_add_each_event_once",
        ),
        "kill -9 anywhere": (
            "faults:killed_between_post_and_commit_sends_one_copy_more_at_most",
            "storm:a_storm_loses_nothing_and_repeats_only_what_was_in_flight",
        ),
        "the resident worker and the bounded job": (
            "cli:the_resident_worker_takes_new_events_and_stops_when_told",
            "assets/test_runs:new_transitions_start_one_delivery_run",
        ),
        "no redirects, cookies, proxy or decompression": (
            "manners:no_proxy_of_the_environment_is_used_and_no_cookie_kept",
            "hostile:a_hostile_receiver_costs_neither_time_nor_memory",
        ),
        "addresses are checked at the socket": (
            "guard:what_is_not_the_public_internet_is_denied",
            "guard:other_spellings_of_the_loopback_address_are_stopped_at_the_socket",
            "guard:a_url_that_may_not_be_sent_to_is_refused",
            "hostile:a_name_that_rebinds_between_two_attempts_finds_no_window",
            "worker:a_private_address_is_blocked_at_the_socket",
        ),
        "the test button uses the same code": ("cli:a_test_event_says_what_the_receiver_answered",),
        "handshake: off, optional, required": (
            "handshake:a_required_handshake_keeps_events_until_the_receiver_allows_them",
            "handshake:a_required_permission_can_be_withdrawn_and_an_optional_one_only_tells",
            "handshake:who_is_due_is_asked_once_a_minute_and_others_never",
            "handshake:the_handshake_goes_through_the_same_guard",
        ),
    },
    "registration": {
        "types and filters": (
            "subscriptions:filters",
            "subscriptions:types_that_match_nothing_are_refused",
            "webhook_options:filters_as_people_type_them",
        ),
        "format": ("manners:the_flock_format_is_signed_like_any_other",),
        "custom headers, reserved names refused": (
            "manners:own_headers_are_sent_and_change_none_of_ours",
            "own_headers:reserved_names_are_refused",
        ),
        "rate and concurrency": (
            "own_headers:settings_outside_their_range_make_no_endpoint",
            "breaker:a_limited_endpoint_is_sent_to_at_its_rate_within_one_run",
        ),
        "sandbox or live": ("worker:a_sandbox_endpoint_is_recorded_and_nothing_is_sent",),
        "on the command line": (
            "webhook_options:everything_that_can_be_asked_for_is_listed",
            "cli:wrong_use_is_one_line_and_makes_nothing",
            "webhook_options:empty_lists_say_what_to_do",
        ),
        "in files of the tenant": (
            "destinations:a_file_is_an_endpoint_and_stays_the_same_one",
            "destinations:a_file_says_everything_that_can_be_asked_for",
        ),
    },
    "referral events": {
        "as a source: both shapes, unknown names kept": (
            "referral_source:both_shapes_are_taken_in_and_unknown_names_are_kept",
        ),
        "signature checked, stored first, answered 200": (
            "referral_source:what_is_not_signed_is_not_stored",
            "referral_source:it_is_stored_before_it_is_answered_and_waits_for_a_look",
            "referral_source:a_disk_that_does_not_take_it_is_not_answered_200",
            "webhook_options:referral_events_are_received_over_http",
        ),
        "as output: changes of campaigns, referrals and rewards": (
            "referral_changes:a_state_that_is_said_again_is_one_change",
            "referral_changes:a_campaign_is_launched_and_ended_once_whatever_versions_say_so",
            "referral_changes:each_act_is_a_change_and_unknown_names_are_none",
            "referral_changes:the_order_of_records_does_not_matter",
            "step:a_change_of_a_referral_is_told_once_and_stays_told",
        ),
        "shape B is resolved through its entity id": (
            "referral_changes:shape_b_is_about_whom_shape_a_names_by_the_end_of_the_day",
        ),
        "in Flock's shape or as CloudEvents": ("formats:the_flock_format_nests_a_referral_as_flock_does",),
    },
}
LINES = [(section, line) for section, lines in CONTRACT.items() for line in lines]


@cache
def named_in(file: Path) -> frozenset[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize(("section", "line"), LINES, ids=[f"{section}: {line}" for section, line in LINES])
def test_every_line_is_shown_by_tests_that_are_there(section: str, line: str) -> None:
    shown = CONTRACT[section][line]
    assert shown
    for name in shown:
        place, _, test = name.partition(":")
        file = HERE.parent / f"{place}.py" if "/" in place else HERE / f"test_{place}.py"
        assert f"test_{test}" in named_in(file), f"{line}: there is no test {name}"


def test_a_suspended_endpoint_keeps_what_comes(control: Control, clock: FakeClock) -> None:
    with receiver() as box:
        add_endpoint(control, box.url)
        with writing(control.engine) as connection:
            endpoints.set_state(connection, "ep_one", "suspended", 0, "app removed")
        fill(control, clock, 2)
        assert drain(make_worker(control, clock)) == {}
        with writing(control.engine) as connection:
            endpoints.set_state(connection, "ep_one", "active", 0)
        assert drain(make_worker(control, clock)) == {"delivered": 2}
