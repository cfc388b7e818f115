-- Gives back what a run claimed and did not try.
update gaps as g set
    state = 'open',
    changed_at = clock_timestamp(),
    next_attempt_at = null,
    evidence = g.evidence - 'claim'
where g.gap_id = any(%(gap_ids)s) and g.state = 'healing' and g.evidence -> 'claim' ->> 'run_id' is not distinct from %(run_id)s;
