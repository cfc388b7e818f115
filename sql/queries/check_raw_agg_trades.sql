-- The rules of aggregated trades alone.
select
    'no id missing between the first and the last' as rule,
    false as is_blocking,
    coalesce(sum(l.missing_ids), 0) as broken,
    coalesce(sum(l.stored), 0) as looked_at,
    coalesce((array_agg(format('%%s: %%s ids', l.instrument, l.missing_ids)) filter (where l.missing_ids > 0))[1:5], '{{}}') as examples
from ledger as l
union all
select
    'time never steps back along the ids',
    false,
    coalesce(sum(p.steps_back), 0),
    coalesce(sum(p.found), 0),
    %(steps_examples)s::text[]
from per_instrument as p
union all
select
    'every expected instrument is there',
    false,
    count(*) filter (where l.instrument is null),
    count(*),
    coalesce((array_agg(i.instrument) filter (where l.instrument is null))[1:5], '{{}}')
from instruments as i
left join ledger as l on i.instrument = l.instrument
where
    i.valid_to is null and i.bars_stream = 'agg_trades'
    and i.listed_on <= %(day)s and (i.delisted_on is null or i.delisted_on > %(day)s);
