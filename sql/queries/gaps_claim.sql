-- Gives gaps to a run that will heal them, until its time is over: those that are open and due, or whose healing ran out of its time.
update gaps as g set
    state = 'healing',
    changed_at = %(now)s,
    next_attempt_at = %(until)s,
    evidence = g.evidence || jsonb_build_object('claim', jsonb_build_object('run_id', %(run_id)s::text, 'until', %(until)s::timestamptz))
where
    g.gap_id in (
        select f.gap_id from gaps as f
        where
            f.gap_id = any(%(gap_ids)s) and f.state in ('open', 'healing') and (f.next_attempt_at is null or f.next_attempt_at <= %(now)s)
        for update skip locked
    )
returning
    g.gap_id, g.instrument, g.stream, g.kind, g.from_time, g.to_time, g.first_missing, g.last_missing, g.cause, g.state, g.first_seen,
    g.attempts, g.last_reason;
