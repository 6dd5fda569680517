# Prints 10,000 lines of a web server's access log, the same ones every time.
# usage: awk -f access-log.awk

# The generator is of our own: awks differ in theirs.  0 <= result < n
function random(n) { seed = (seed * 16807) % 2147483647; return seed % n }

# The lower numbers are the likelier ones, as among clients and pages.
function skewed(n, r) { r = random(n); return random(r + 1) }

BEGIN {
	seed = 20260101
	pages = split("/ /index.html /about /docs/ /docs/install /blog/ /blog/2026/01/streams" \
		" /images/logo.png /style.css /search?q=log /robots.txt /favicon.ico", page, " ")
	browsers = split("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0|" \
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0 Safari/537.36|" \
		"Mozilla/5.0 (compatible; examplebot/2.1)|curl/8.5.0", browser, "|")
	for (i = 0; i < 10000; i++) {
		second = int(i * 8.64)
		c = skewed(1 + skewed(1500))
		p = page[1 + skewed(pages)]
		status = random(50) == 0 ? 404 : random(20) == 0 ? 304 : 200
		printf "203.0.%d.%d - - [01/Jan/2026:%02d:%02d:%02d +0000] \"%s %s HTTP/1.1\" %d %d \"%s\" \"%s\"\n", \
			c % 113, 1 + int(c / 113) * 7, second / 3600, second / 60 % 60, second % 60, \
			random(40) == 0 ? "POST" : "GET", p, status, \
			status == 304 ? 0 : 200 + random(60000), \
			random(3) == 0 ? "https://www.example.com/" : "-", browser[1 + skewed(browsers)]
	}
}
