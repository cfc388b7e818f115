-- Closes gaps: all of them is there, or nothing says any more that they are missing. Then they have no time of healing.
update gaps as g set
    state = 'healed',
    changed_at = clock_timestamp(),
    next_attempt_at = null,
    healed_at = case when %(is_there)s then clock_timestamp() end,
    evidence
    = (g.evidence - 'claim') || case when %(is_there)s then jsonb_build_object() else jsonb_build_object('withdrawn', %(why)s::text) end
where g.gap_id = any(%(gap_ids)s);
