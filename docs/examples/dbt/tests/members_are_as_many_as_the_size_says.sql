-- The model has as many members of a cohort as cohort_sizes counts on the newest day; rows that come back are wrong.
with counted as (select cohort_id, count(*) as members from {{ ref('members') }} group by cohort_id)
select sizes.cohort_id, sizes.size, counted.members
from {{ source('murmuration', 'cohort_sizes') }} as sizes
left join counted using (cohort_id)
where sizes.date = (select max(date) from {{ source('murmuration', 'cohort_sizes') }})
    and sizes.size <> coalesce(counted.members, 0)
