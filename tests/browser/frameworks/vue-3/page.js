// The page of react/page.jsx in Vue: adjacent texts, a fragment, a button that counts.
import { createSSRApp, Fragment, h, onMounted, ref } from 'vue';

const Counter = {
  setup() {
    const count = ref(0);
    return () => h('button', { id: 'count', onClick: () => count.value++ }, `Clicked ${count.value} times`);
  },
};

const Page = {
  setup() {
    onMounted(() => {
      window.hydrated = true;
    });
    const card = (id, ...inside) => h('section', { id, class: 'card' }, inside);
    return () => h('div', { class: 'page' }, [
      h('h1', ['Tea for ', 'Ada']),
      h('main', { id: 'main' }, [
        card('offers', h('h2', 'Offers'), h('ul', [h(Fragment, ['Assam', 'Sencha'].map(name => h('li', { key: name }, name)))])),
        card('news', h('h2', 'News'), h('p', { class: 'lead' }, 'Rain is coming.')),
        card('buy', h('a', { class: 'cta', href: '/basket' }, 'Buy now')),
      ]),
      h('aside', { id: 'banner' }, 'Free delivery'),
      h(Counter),
    ]);
  },
};

export const app = () => createSSRApp(Page);
