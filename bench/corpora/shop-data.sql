insert into users (id, email, name, age, is_admin, settings, invited_by, created_at)
select n, 'user' || n || '@example.org', case when n % 5 > 0 then 'User ' || n % 7 end, 18 + n % 9, n % 6 = 0,
       jsonb_build_object('theme', case n % 2 when 0 then 'dark' else 'light' end, 'level', n % 4),
       case when n % 3 = 0 then n / 3 end, timestamptz '2024-01-01 00:00:00+00' + n * interval '7 hours'
from generate_series(1, 24) n;
insert into profiles select n, 'bio ' || n % 4, array['https://example.org/' || n, 'b'] from generate_series(1, 24, 2) n;
insert into posts (id, author_id, title, body, published, views, published_at)
select n, 1 + n * 5 % 24, 'Title ' || n % 13, 'word' || n % 5 || ' and more', n % 4 > 0, n * 17 % 50,
       case when n % 4 > 0 then timestamptz '2024-02-01 00:00:00+00' + n * interval '5 hours' end
from generate_series(1, 40) n;
insert into comments (id, post_id, user_id, body, created_at)
select n, 1 + n * 3 % 40, case when n % 6 > 0 then 1 + n * 7 % 24 end, 'comment ' || n % 9,
       timestamptz '2024-03-01 00:00:00+00' + n * interval '3 hours'
from generate_series(1, 90) n;
insert into tags (id, name) select n, 'tag' || n from generate_series(1, 8) n;
insert into post_tags select distinct 1 + n * 11 % 40, 1 + n % 8 from generate_series(1, 70) n;
insert into products
select ('00000000-0000-0000-0000-0000000000' || lpad(to_hex(n), 2, '0'))::uuid, 'SKU-' || n, n * 1.25, n % 6,
       case when n % 3 > 0 then jsonb_build_object('color', (array['red', 'blue', 'green'])[1 + n % 3], 'sizes', jsonb_build_array(n % 3, n % 4)) end
from generate_series(1, 15) n;
insert into orders (id, user_id, status, placed_on, total)
select n, 1 + n * 7 % 24, (array['new', 'paid', 'sent', 'cancelled'])[1 + n % 4]::order_status, date '2024-01-01' + n % 20, n * 3.5
from generate_series(1, 45) n;
insert into order_items
select distinct on (1, 2) 1 + n * 7 % 45, ('00000000-0000-0000-0000-0000000000' || lpad(to_hex(1 + n % 15), 2, '0'))::uuid, 1 + n % 4, 2.5
from generate_series(1, 100) n;
