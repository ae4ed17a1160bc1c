// One page of a shop in React: adjacent texts, a list, a button that counts, a Suspense boundary. Built for React 18 and 19,
// and for each both as a part of a page and as a whole document (WHOLE), as frameworks on top of React render it.
import React, { Suspense, useEffect, useState } from 'react';

function Counter() {
  const [count, setCount] = useState(0);
  return <button id="count" onClick={() => setCount(count + 1)}>Clicked {count} times</button>;
}

function Shop() {
  useEffect(() => {
    window.hydrated = true;
  });
  return (
    <div className="page">
      <h1>Tea for {'Ada'}</h1>
      <main id="main">
        <section id="offers" className="card"><h2>Offers</h2><ul><li>Assam</li><li>Sencha</li></ul></section>
        <section id="news" className="card"><h2>News</h2><p className="lead">Rain is coming.</p></section>
        <section id="buy" className="card"><a className="cta" href="/basket">Buy now</a></section>
      </main>
      <aside id="banner">Free delivery</aside>
      <Suspense fallback={<p>Loading</p>}><p id="reviews">Four stars</p></Suspense>
      <Counter />
    </div>
  );
}

export function Page() {
  if (!WHOLE) return <Shop />;
  return (
    <html lang="en">
      <head>
        <meta charSet="utf-8" />
        <title>Tea</title>
        <link rel="icon" href="data:," />
      </head>
      <body>
        <Shop />
        <script type="module" src="/client.js" />
      </body>
    </html>
  );
}
