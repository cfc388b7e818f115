-- What was reported of the days that touch a window.
select
    h.day,
    h.relation,
    h.tier,
    h.row_count,
    h.size_bytes,
    h.monthly_usd,
    h.offer,
    h.prices_as_of,
    h.measured_at
from cost_history as h
where
    (%(since)s::timestamptz is null or (h.day + 1)::timestamp at time zone 'UTC' > %(since)s)
    and (%(until)s::timestamptz is null or h.day::timestamp at time zone 'UTC' < %(until)s)
order by h.day, h.relation, h.tier;
