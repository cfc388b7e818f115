-- Accepts a gap as it is, or with no reason makes it open again.
update gaps as g set
    state = case when %(reason)s::text is null then 'open' else 'accepted' end,
    changed_at = clock_timestamp(),
    next_attempt_at = null,
    accepted_at = case when %(reason)s::text is not null then clock_timestamp() end,
    accepted_by = %(by)s::text,
    accepted_reason = %(reason)s::text,
    evidence = g.evidence - 'claim'
where g.gap_id = %(gap_id)s;
