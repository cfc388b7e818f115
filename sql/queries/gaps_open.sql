-- Opens gaps of an instrument and stream. What is split from another gap has its history, and its state unless that is being healed.
-- The cause is what is given, unless refused rows lie in the gap, or an outage that was announced covers it. What lies within what was
-- accepted is accepted. Less than a second that nobody claims is the seam between two captures, and no gap, unless rows of it were refused.
with refused as materialized (
    select
        range_agg(int8range(q.sequence, q.sequence, '[]')) filter (where q.sequence is not null) as ids,
        range_agg(
            tstzrange(
                least(coalesce(q.event_time, q.after_time, q.day::timestamp at time zone 'UTC'), q.before_time),
                greatest(coalesce(q.event_time, q.before_time, (q.day + 1)::timestamp at time zone 'UTC'), q.after_time),
                '[]'
            )
        ) filter (where %(kind)s <> 'ids' or q.sequence is null) as spans
    from quarantine as q
    inner join landing_files as f on q.file_id = f.file_id
    where
        q.state = 'quarantined' and q.reason <> 'conflict' and q.day = any(%(days)s) and f.stream = %(base_stream)s
        and (q.instrument is null or q.instrument = %(instrument)s)
),

accepted as materialized (
    select range_agg(c.accepted) as spans from coverage as c
    where c.instrument = %(instrument)s and c.stream = %(stream)s and c.day = any(%(days)s) and not isempty(c.accepted)
)

insert into gaps (
    instrument, stream, kind, from_time, to_time, first_missing, last_missing, cause, state, first_seen, changed_at, attempts,
    next_attempt_at, last_reason, accepted_at, accepted_by, accepted_reason, evidence
)
select
    %(instrument)s,
    %(stream)s,
    %(kind)s,
    n.from_time,
    n.to_time,
    n.first_missing,
    n.last_missing,
    case
        when p.gap_id is not null then p.cause
        when refused.ids && int8range(n.first_missing, n.last_missing, '[]') or refused.spans && tstzrange(n.from_time, n.to_time)
            then 'quarantined'
        when m.mute_id is not null then 'venue_outage'
        else %(cause)s::text
    end as cause,
    case when p.state = 'accepted' or (p.gap_id is null and a.is_accepted) then 'accepted' else 'open' end as state,
    coalesce(p.first_seen, clock_timestamp()) as first_seen,
    clock_timestamp() as changed_at,
    coalesce(p.attempts, 0) as attempts,
    p.next_attempt_at,
    p.last_reason,
    coalesce(p.accepted_at, case when p.gap_id is null and a.is_accepted then clock_timestamp() end) as accepted_at,
    coalesce(p.accepted_by, case when p.gap_id is null and a.is_accepted then before.accepted_by end) as accepted_by,
    coalesce(p.accepted_reason, case when p.gap_id is null and a.is_accepted then before.accepted_reason end) as accepted_reason,
    case
        when p.gap_id is not null then (p.evidence - 'claim') || jsonb_build_object('split_from', p.gap_id)
        else n.evidence || case when m.mute_id is not null then jsonb_build_object('announced', m.reason) else jsonb_build_object() end
    end as evidence
from
    unnest(
        %(froms)s::timestamptz[], %(tos)s::timestamptz[], %(firsts)s::bigint[], %(lasts)s::bigint[], %(parents)s::bigint[],
        %(evidences)s::jsonb[]
    ) with ordinality as n (from_time, to_time, first_missing, last_missing, parent, evidence, place)
cross join refused
cross join accepted
cross join lateral (select coalesce(accepted.spans @> tstzrange(n.from_time, n.to_time), false) as is_accepted) as a
left join gaps as p on n.parent = p.gap_id
left join lateral (
    select
        o.mute_id,
        o.reason
    from alert_mutes as o
    where
        o.ended_at is null and o.scope in (%(instrument)s, split_part(%(instrument)s, ':', 1)) and (o.rule is null or o.rule = 'gap')
        and o.from_time <= n.from_time and o.to_time >= n.to_time - interval '1 second'
    order by o.mute_id
    limit 1
) as m on true
left join lateral (
    select
        w.accepted_by,
        w.accepted_reason
    from gaps as w
    where
        a.is_accepted and w.instrument = %(instrument)s and w.stream = %(stream)s and w.accepted_at is not null
        and w.from_time < n.to_time and w.to_time > n.from_time
    order by w.accepted_at desc
    limit 1
) as before on true
where
    %(by)s::text is distinct from 'coverage' or p.gap_id is not null or n.to_time - n.from_time >= interval '1 second'
    or refused.spans && tstzrange(n.from_time, n.to_time)
order by n.place;
