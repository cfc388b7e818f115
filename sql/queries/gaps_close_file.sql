-- Closes the gap of a day of which nothing was held, now that something is.
update gaps as g set
    state = 'healed',
    changed_at = clock_timestamp(),
    next_attempt_at = null,
    healed_at = clock_timestamp(),
    evidence = g.evidence - 'claim'
where
    g.instrument = %(instrument)s and g.stream = %(stream)s and g.kind = 'file' and g.state <> 'healed'
    and g.from_time = %(day)s::date::timestamp at time zone 'UTC';
