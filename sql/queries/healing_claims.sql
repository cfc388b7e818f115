-- The runs that have gaps to heal, with these gaps.
select
    g.evidence -> 'claim' ->> 'run_id' as run_id,
    array_agg(g.gap_id order by g.gap_id) as gap_ids
from gaps as g
where g.state = 'healing' and g.evidence -> 'claim' ->> 'run_id' is not null
group by 1
order by 1;
