-- Days in a window whose trades or rules changed since an instrument's bars by what was traded were cut.
select d.day
from invalidation_days as d
left join bar_sources as s on d.instrument = s.instrument
left join invalidations_applied as a
    on d.relation = a.relation and d.instrument = a.instrument and d.day = a.day and a.consumer = %(consumer)s
where
    d.instrument = %(instrument)s and d.relation in (coalesce(s.relation, 'raw_trades'), %(rules)s)
    and d.day >= (%(since)s::timestamptz at time zone 'UTC')::date and d.day <= (%(until)s::timestamptz at time zone 'UTC')::date
    and d.last_id > coalesce(a.applied_through, 0);
