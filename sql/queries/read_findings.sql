-- Findings of an instrument, or of all and of none, on the days that touch a window; those that are open, or all there ever were.
select
    f.finding_id,
    f.rule,
    f.severity,
    f.relation,
    f.instrument,
    f.day,
    f.from_time,
    f.to_time,
    f.broken,
    f.examined,
    to_json(f.examples) as examples,
    f.detail,
    f.state,
    f.first_seen,
    f.last_seen,
    f.resolved_at,
    f.run_id
from findings as f
where
    (%(is_all)s or f.state = 'open')
    and (%(instrument)s::text is null or f.instrument = %(instrument)s)
    and (
        f.day is null
        or (
            (%(since)s::timestamptz is null or (f.day + 1)::timestamp at time zone 'UTC' > %(since)s)
            and (%(until)s::timestamptz is null or f.day::timestamp at time zone 'UTC' < %(until)s)
        )
    )
order by f.day nulls first, f.relation, f.instrument nulls first, f.rule, f.from_time nulls first, f.finding_id;
