-- Notes what came of an attempt. A gap that is not healed by now is open again.
with tried as (
    insert into gap_attempts (gap_id, at, source, outcome, reason, rows_fetched, seconds, run_id)
    values (
        %(gap_id)s, clock_timestamp(), %(source)s, %(outcome)s, %(reason)s, %(rows_fetched)s, %(seconds)s, %(run_id)s
    )
)

update gaps as g set
    state = case when g.state = 'healing' then 'open' else g.state end,
    attempts = g.attempts + 1,
    changed_at = clock_timestamp(),
    next_attempt_at = case when g.state = 'healed' then null else %(next_attempt_at)s::timestamptz end,
    last_reason = %(reason)s,
    evidence = g.evidence - 'claim'
where g.gap_id = %(gap_id)s
returning
    g.gap_id, g.instrument, g.stream, g.kind, g.from_time, g.to_time, g.first_missing, g.last_missing, g.cause, g.state, g.first_seen,
    g.attempts, g.last_reason;
