-- Some rows that break a rule, by their key.
select concat_ws(' ', {columns}) as example
from {table}
where {chosen} and ({broken})
order by 1
limit 5;
